"""The registry and the files of a repository."""

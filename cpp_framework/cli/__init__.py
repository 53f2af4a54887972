"""The command line: one module per verb, each a thin call of the api."""

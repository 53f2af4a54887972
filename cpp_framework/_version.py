"""The version of the core, in a module of its own so that the lowest layers can import it."""

__version__ = "0.1.0"

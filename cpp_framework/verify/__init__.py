"""Checks on stored products, on held-out residuals, and their verdict."""

"""Simulated cameras with every truth written beside the data."""

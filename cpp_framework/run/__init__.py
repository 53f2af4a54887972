"""Execution of a plan: correct, measure, solve, publish."""

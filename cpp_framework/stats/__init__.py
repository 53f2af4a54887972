"""Combination of stacks, robust moments and their errors: public for plugins, kernels private inside."""

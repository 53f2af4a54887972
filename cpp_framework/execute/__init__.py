"""Executors: anything with the interface of concurrent.futures.Executor."""

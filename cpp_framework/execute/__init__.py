"""Executors: anything with the interface of `concurrent.futures.Executor`."""

from cpp_framework.execute.pool import SerialExecutor, Workers, make_executor

__all__ = ["SerialExecutor", "Workers", "make_executor"]

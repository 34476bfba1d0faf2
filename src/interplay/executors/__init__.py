"""Ready executors for ``executor=``; anything that is a `concurrent.futures.Executor` works as it is."""

from interplay.executors._processes import processes

__all__ = ["processes"]

"""Ready executors for ``executor=``; anything that is a `concurrent.futures.Executor` works as it is."""

from interplay._public import publish
from interplay.executors._processes import processes
from interplay.executors._ray import ray

__all__ = ["processes", "ray"]

publish(__name__)

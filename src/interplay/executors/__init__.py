"""Ready executors for ``executor=``; anything that is a `concurrent.futures.Executor` works as it is."""

from interplay._public import publish
from interplay.executors._processes import processes

__all__ = ["processes"]

publish(__name__)

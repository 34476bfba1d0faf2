"""On standard error: what a measurement will cost, before most of it is spent, then one progress bar."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from interplay.ablate import Progress
from interplay.ablate._bar import format_seconds, progress_bar


@contextlib.contextmanager
def announced() -> Iterator[Callable[[Progress], None]]:
    """Yield a function for ``progress=`` that says calls and time once they are known, then draws a bar."""
    with contextlib.ExitStack() as stack:
        announcer = _Announcer(stack)
        yield announcer


class _Announcer:
    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack
        self.told_calls = self.told_time = False
        self.bar: Callable[[Progress], None] | None = None

    def __call__(self, state: Progress) -> None:
        if not self.told_calls:
            self.told_calls = True
            stored = f" ({state.from_store} more are in the store)" if state.from_store else ""
            _say(f"calls      {state.total - state.from_store} to the model{stored}")
        elif not self.told_time and state.eta is not None:
            # The first, small batch has been timed; its values count, nothing was spent for the estimate alone.
            self.told_time = True
            _say(f"time       about {format_seconds(state.seconds + state.eta)}")
            self.bar = self.stack.enter_context(progress_bar(None))
        if self.bar is not None:
            self.bar(state)


def _say(words: str) -> None:
    print(words, file=sys.stderr)

"""On standard error: what a measurement will cost, before most of it is spent, then one progress bar."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from interplay._game.cost import Cost
from interplay.ablate import Progress, format_seconds, progress_bar
from interplay.cli._console import say


@contextlib.contextmanager
def announced(price: Callable[[int], Cost]) -> Iterator[Callable[[Progress], None]]:
    """Yield a function for ``progress=`` that says calls and time once they are known, then draws a bar.

    ``price`` says what so many ablations take, as `Game.price` does.
    """
    with contextlib.ExitStack() as stack:
        announcer = _Announcer(stack, price)
        yield announcer


class _Announcer:
    def __init__(self, stack: contextlib.ExitStack, price: Callable[[int], Cost]) -> None:
        self.stack, self.price = stack, price
        self.told_calls = self.told_time = False
        self.bar: Callable[[Progress], None] | None = None

    def __call__(self, state: Progress) -> None:
        if not self.told_calls:
            self.told_calls = True
            stored = f" ({state.from_store} more are in the store)" if state.from_store else ""
            cost = self.price(state.total - state.from_store)
            is_plain = cost == Cost(cost.number)
            say(f"calls      {cost.number} to the model{stored}" if is_plain else f"cost       {cost}{stored}")
        elif not self.told_time and state.eta is not None:
            # The first, small batch has been timed; its values count, nothing was spent for the estimate alone.
            self.told_time = True
            say(f"time       about {format_seconds(state.seconds + state.eta)}")
            self.bar = self.stack.enter_context(progress_bar(None))
        if self.bar is not None:
            self.bar(state)

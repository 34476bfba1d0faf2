"""On standard error: what a measurement will cost, before most of it is spent, then one progress bar."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from interplay._game.cost import Cost
from interplay.ablate import Progress, format_seconds, progress_bar
from interplay.cli._console import say


@contextlib.contextmanager
def announced(
    price: Callable[[int], Cost], most: int, fits: Callable[[], float]
) -> Iterator[Callable[[Progress], None]]:
    """Yield a function for ``progress=`` that says calls and time once they are known, then draws a bar.

    ``price`` says what so many ablations take, as `Game.price` does; ``most`` is how many there may be in all rounds,
    and ``fits`` says how many seconds all fits will take besides.
    """
    with contextlib.ExitStack() as stack:
        announcer = _Announcer(stack, price, most, fits)
        yield announcer


class _Announcer:
    def __init__(
        self, stack: contextlib.ExitStack, price: Callable[[int], Cost], most: int, fits: Callable[[], float]
    ) -> None:
        self.stack, self.price, self.most, self.fits = stack, price, most, fits
        self.told_calls = self.told_time = False
        self.bar: Callable[[Progress], None] | None = None

    def __call__(self, state: Progress) -> None:
        if not self.told_calls:
            self.told_calls = True
            stored = f" ({state.from_store} more are in the store)" if state.from_store else ""
            # Later rounds, and removals from the real input, take what is left of the budget at most.
            later = max(0, self.most - state.total)
            cost, at_most = self.price(state.total - state.from_store + later), "at most " if later else ""
            is_plain = cost == Cost(cost.number)
            what = f"calls      {at_most}{cost.number} to the model" if is_plain else f"cost       {at_most}{cost}"
            say(what + stored)
        elif not self.told_time and state.eta is not None:
            # The first, small batch has been timed; its values count, nothing was spent for the estimate alone.
            self.told_time = True
            self.say_time(state, state.eta)
            self.bar = self.stack.enter_context(progress_bar(None))
        if self.bar is not None:
            self.bar(state)

    def say_time(self, state: Progress, eta: float) -> None:
        """How long the run will take: this round, those that may follow it, and the fits."""
        left = state.total - state.done
        later = max(0, self.most - state.total) * (eta / left if left else 0.0)
        what = "at most about" if later else "about"
        say(f"time       {what} {format_seconds(state.seconds + eta + later + self.fits())}, fits included")

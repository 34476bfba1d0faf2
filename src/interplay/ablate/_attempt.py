"""One batch of a game, tried again when it fails, and what is said of a worker that died of it."""

from __future__ import annotations

import concurrent.futures as futures
import time

from interplay._errors import AblationError, InterplayError
from interplay._game.game import Game
from interplay._game.masks import Masks
from interplay.ablate._sending import Sent

_PAUSE = 0.5  # seconds before the first retry; doubles each time
_OURS_TO_FIX = (TypeError, AttributeError, NameError, NotImplementedError, AssertionError, IndexError, KeyError)


def died(error: futures.BrokenExecutor) -> AblationError:
    failure = AblationError(
        "a worker process died while it measured, perhaps for lack of memory: start a new executor, with fewer workers."
        " Where it died before it began, the script that started it needs to guard its main code with "
        "if __name__ == '__main__', as workers import it."
    )
    failure.__cause__ = error
    return failure


def attempt(game: Game | Sent, masks: Masks, retries: int) -> tuple[object, tuple[str, ...]]:
    """The game's raw values for a batch, tried again with growing pauses when it raises."""
    for turn in range(retries + 1):
        try:
            values = game.value(masks)
        except (*_OURS_TO_FIX, InterplayError):
            raise  # trying again cannot help
        except Exception as error:
            if turn == retries:
                raise AblationError(
                    f"the game failed {retries + 1} times on the same {len(masks)} masks, last with "
                    f"{type(error).__name__}: {error}."
                ) from error
            time.sleep(_PAUSE * 2**turn)
        else:
            note = (f"some ablations succeeded only when tried again (up to {retries} times)",) if turn else ()
            return values, note
    raise AssertionError("unreachable")

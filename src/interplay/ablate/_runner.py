"""Measure masks: each distinct one once, in batches, with retries, and written down as they come."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt

from interplay._errors import AblationError, InputError, InterplayError, InterruptionError, StoreError
from interplay._game.game import Game
from interplay._game.masks import Masks, Values, as_array, check_masks, check_values
from interplay._game.partial import Partial
from interplay.ablate._attempt import attempt, died
from interplay.ablate._claims import Claims
from interplay.ablate._sending import Sent, sent
from interplay.ablate._store import Shelf, Store

_FIRST = 8  # the first two batches are small: a mistake shows early, and the second, warmed up, gives the time
_RETRIES = 3
_PATIENCE = 0.1  # seconds of waiting at a time
_QUEUED = 8  # batches that wait for a worker; the rest of what is in flight is what an executor says that it runs
_POLL = 0.1  # seconds between looks at what other processes have measured


@dataclass(frozen=True)
class Progress:
    """How far a measurement is: ``done`` of ``total`` ablations, ``from_store`` of them read, not measured.

    ``seconds`` have passed; ``eta`` is the estimated rest in seconds, None until a batch after the first was timed.
    """

    done: int
    total: int
    from_store: int
    seconds: float
    eta: float | None


@dataclass(frozen=True)
class Measurement:
    """Values of the masks asked for, in their order, and what they cost.

    ``values`` is (N,) or (N, T), NaN in the rows that ``failed`` (N,); ``distinct`` counts the different masks,
    ``from_store`` those that were already known and ``measured`` those that the game was called for. ``kept_in`` is
    the file that holds them, None where they live only here.
    """

    values: Values
    failed: npt.NDArray[np.bool_]
    distinct: int
    from_store: int
    measured: int
    seconds: float
    notes: tuple[str, ...] = ()
    kept_in: str | None = None


def measure(
    game: Game,
    masks: object,
    *,
    store: Store | str | os.PathLike[str] | None = None,
    executor: futures.Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
    retries: int = _RETRIES,
    ahead: Masks | None = None,
    failed: dict[bytes, str] | None = None,
) -> Measurement:
    """Measure every mask (N, n) once, reading from ``store`` what it already holds.

    Parameters
    ----------
    game
        What to measure.
    masks
        Boolean (N, n); repeated rows are measured once.
    store
        Where values are read and written, or the path of its file; without one they live as long as this call.
    executor
        A `concurrent.futures.Executor` whose workers measure batches side by side; None measures here, in turn.
    progress
        Called after every batch.
    retries
        How often a batch is tried again when the game raises; programming errors are not retried.
    ahead
        Other masks (M, n) that will probably be asked for next: they count in the progress but are not measured yet.
    failed
        What failed before in the same run, by mask, and why: it is not tried again, and what fails now is added. What
        failed in an earlier run may have had a passing reason.

    Raises
    ------
    AblationError
        When the game keeps failing, returns unusable values, or more of its ablations failed than it allows; what
        was measured before is in the store.
    InterruptionError
        On Ctrl-C, with everything measured so far.
    """
    rows = check_masks(masks, game.n)
    if not len(rows):
        raise InputError("there are no masks to measure: pass at least one row.")
    _, first, inverse = np.unique(np.packbits(rows, axis=1), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # distinct masks in the order they were asked for
    distinct = rows[first[order]]
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))

    with Store.at(store) as held:
        durable = held.path != ":memory:"
        try:
            shelf = held.of(game)
            with Claims(shelf) if durable else contextlib.nullcontext() as claims:
                run = _Run(game, distinct, shelf, claims, executor, progress, retries, {} if failed is None else failed)
                if ahead is not None:
                    run.ahead = (len(ahead), int(shelf.read(ahead)[0].sum()))
                run.all()
        except Exception as error:
            what = f"while measuring a game of {game.n} features" + (f": {game.question}" if game.question else "")
            error.add_note(what)
            raise
    assert run.values is not None
    at = place[inverse.ravel()]
    return Measurement(
        run.values[at],
        run.failed[at],
        distinct=len(distinct),
        from_store=run.from_store,
        measured=run.measured,
        seconds=time.perf_counter() - run.began,
        notes=(*run.notes, *run.failure_note(), *_store_notes(shelf)),
        kept_in=held.path if durable else None,
    )


class _Run:
    """One call of `measure`: the bookkeeping of what is known and what is under way."""

    def __init__(
        self,
        game: Game,
        masks: Masks,
        shelf: Shelf,
        claims: Claims | None,
        executor: futures.Executor | None,
        progress: Callable[[Progress], None] | None,
        retries: int,
        failures: dict[bytes, str],
    ) -> None:
        self.game, self.masks, self.shelf, self.claims, self.executor = game, masks, shelf, claims, executor
        self.progress, self.retries, self.failures = progress, retries, failures
        self.known = np.zeros(len(masks), dtype=np.bool_)
        self.failed = np.zeros(len(masks), dtype=np.bool_)  # known, too: they are not tried again
        self.reasons: list[str] = []
        self.ahead = (0, 0)  # masks that will follow, and how many of them are known
        self.values: Values | None = None
        self.from_store = self.measured = 0
        self.notes: list[str] = []
        self.began = time.perf_counter()
        self._timed = (0, 0.0)  # masks and seconds after the first batch, which may include warming up

    def all(self) -> None:
        self._recall(np.arange(len(self.masks)))
        self._recall_failures()
        if self.reasons:
            self._check_failures(int(self.known.sum()))
        self._report()
        try:
            if self.executor is None:
                for batch in self._batches():
                    if not len(batch):
                        time.sleep(_POLL)
                        continue
                    began = time.perf_counter()
                    self._take(batch, attempt(self.game, self.masks[batch], self.retries), began)
            else:
                self._spread(self.executor)
        except KeyboardInterrupt as error:
            good = self.known & ~self.failed
            raise InterruptionError(self._kept("Interrupted"), self.masks[good], self._so_far(good)) from error
        except InterplayError as error:
            if isinstance(error, AblationError) and self.known.any():
                raise AblationError(f"{error} {self._kept('')}".strip()) from error
            raise

    def _kept(self, what: str) -> str:
        done, total = int(self.known.sum()), len(self.masks)
        head = f"{what}: " if what else ""
        if self.claims is not None:
            return (
                f"{head}{done} of {total} ablations are kept in {self.shelf.store.path}; run the same again to go on."
            )
        return (
            f"{head}{done} of {total} ablations were measured; with store='runs.db' they would be kept and the "
            "same call would go on from there."
        )

    def _so_far(self, rows: npt.NDArray[np.bool_]) -> Values:
        return np.empty(0) if self.values is None else self.values[rows]

    def _batches(self) -> Iterator[npt.NDArray[np.intp]]:
        """Rows to measure; none where all that is left is being measured by other processes just now."""
        todo: deque[int] = deque(np.flatnonzero(~self.known).tolist())
        elsewhere: list[int] = []
        for size in chain([min(_FIRST, self.game.batch_size)] * 2, repeat(self.game.batch_size)):
            batch: list[int] = []
            while todo and len(batch) < size:
                some = [todo.popleft() for _ in range(min(len(todo), size - len(batch)))]
                mine = [True] * len(some) if self.claims is None else self.claims.take(self.masks[some])
                batch += [row for row, is_mine in zip(some, mine, strict=True) if is_mine]
                elsewhere += [row for row, is_mine in zip(some, mine, strict=True) if not is_mine]
            if elsewhere:
                self._recall(np.array(elsewhere, dtype=np.intp))
                elsewhere = [row for row in elsewhere if not self.known[row]]
            if not (batch or todo or elsewhere):
                return
            yield np.array(batch, dtype=np.intp)
            if not todo:
                todo, elsewhere = deque(elsewhere), []

    def _recall(self, rows: npt.NDArray[np.intp]) -> None:
        rows = rows[~self.known[rows]]
        known, values = self.shelf.read(self.masks[rows])
        if values is not None:
            self._place(rows[known], values)
            self.from_store += int(known.sum())

    def _recall_failures(self) -> None:
        if not self.failures:
            return
        rows = np.flatnonzero(~self.known)
        reasons = [self.failures.get(key) for key in self.shelf.keys(self.masks[rows])]
        known = [at for at, reason in enumerate(reasons) if reason is not None]
        self._set_aside(rows[known], [reason for reason in reasons if reason is not None])
        self.from_store += len(known)

    def _set_aside(self, rows: npt.NDArray[np.intp], reasons: list[str]) -> None:
        self.failed[rows] = self.known[rows] = True
        self.reasons += reasons

    def failure_note(self) -> tuple[str, ...]:
        """How many ablations failed and why, in one sentence; nothing where none did."""
        if not self.reasons:
            return ()
        common = sorted(Counter(self.reasons).items(), key=lambda item: (-item[1], item[0]))[:3]
        why = "; ".join(reason if count == 1 else f"{reason} ({count} times)" for reason, count in common)
        return (f"{len(self.reasons)} of {len(self.masks)} ablations failed and were left out: {why}",)

    def _check_failures(self, tried: int) -> None:
        """Stop when more failed than the game allows, or when nothing has ever succeeded."""
        failed, allowed = len(self.reasons), int(self.game.failures * len(self.masks))
        last = f"the last: {self.reasons[-1].rstrip('.')}."
        if failed > allowed:
            limit = f"at most {allowed} of {len(self.masks)} may (failures={self.game.failures:g})"
            raise AblationError(f"{failed} of {tried} ablations failed and {limit}; {last}")
        if failed == tried >= min(_FIRST, len(self.masks)):
            raise AblationError(f"all of the first {failed} ablations failed; {last}")

    def _place(self, rows: npt.NDArray[np.intp], values: Values) -> None:
        if self.values is None:
            self.values = np.full((len(self.masks), *values.shape[1:]), np.nan)
        elif self.values.shape[1:] != values.shape[1:]:
            if self.from_store:
                raise StoreError(
                    f"the store {self.shelf.store.path} has values of shape {('N', *self.values.shape[1:])} for this "
                    f"game, but it now gives {('N', *values.shape[1:])}: name it differently."
                )
            raise AblationError(
                f"the game first gave values of shape {('N', *self.values.shape[1:])} and now of "
                f"{('N', *values.shape[1:])}: return the same number of outputs for every mask."
            )
        self.values[rows] = values
        self.known[rows] = True

    def _take(self, rows: npt.NDArray[np.intp], result: tuple[object, tuple[str, ...]], began: float) -> None:
        """Check a batch, write down what is good, then complain about what is not."""
        raw, notes = result
        told = (*notes, *(raw.notes if isinstance(raw, Partial) else ()))
        self.notes += [note for note in told if note not in self.notes]
        if isinstance(raw, Partial):
            rows, raw = self._split(rows, raw)
        if len(rows):
            self._take_values(rows, raw, began)
        self._report()
        if self.reasons:
            self._check_failures(int(self.known.sum()))

    def _split(self, rows: npt.NDArray[np.intp], partial: Partial) -> tuple[npt.NDArray[np.intp], object]:
        """Record the failures of a batch; the rows that succeeded and their values."""
        if partial.failures:
            lost = rows[list(partial.failures)]
            reasons = list(partial.failures.values())
            self._set_aside(lost, reasons)
            self.failures.update(zip(self.shelf.keys(self.masks[lost]), reasons, strict=True))
            self.measured += len(lost)
            if self.claims is not None:
                self.claims.release(self.masks[lost])
        return np.delete(rows, list(partial.failures)), partial.values

    def _take_values(self, rows: npt.NDArray[np.intp], raw: object, began: float) -> None:
        masks = self.masks[rows]
        try:
            values = check_values(raw, masks)
        except AblationError:
            self._save_finite(rows, raw)
            raise
        self._check_outputs(values)
        self._place(rows, values)
        self.shelf.write(masks, values)
        if self.measured:
            self._timed = (self._timed[0] + len(rows), self._timed[1] + time.perf_counter() - began)
        self.measured += len(rows)

    def _is_unusable(self, rows: npt.NDArray[np.intp], raw: object) -> bool:
        """Whether a worker's values of a batch cannot be used; with a note of it."""
        if isinstance(raw, Partial):
            return False
        try:
            check_values(raw, self.masks[rows])
        except AblationError as error:
            note = f"a batch came back from a worker as nothing that can be used, and was measured again ({error})"
            self.notes += [note] if note not in self.notes else []
            return True
        return False

    def _check_outputs(self, values: Values) -> None:
        names, repeats = self.game.outputs, self.game.repeats
        columns = repeats if names is None else len(names) * repeats
        wrong = values.shape[1] != columns if values.ndim == 2 else True
        if names is not None and wrong:
            each = f" with {repeats} repeats of each" if repeats > 1 else ""
            raise AblationError(
                f"the game names {len(names)} outputs{each} but gave values of shape {values.shape}: "
                f"return shape (N, {columns})."
            )
        if repeats > 1 and (values.ndim != 2 or values.shape[1] % repeats):
            raise AblationError(
                f"the game says that it measures every output {repeats} times but gave values of shape "
                f"{values.shape}: return shape (N, T * {repeats})."
            )

    def _save_finite(self, rows: npt.NDArray[np.intp], raw: object) -> None:
        try:
            array = as_array(raw)
        except AblationError:
            return
        if array.dtype.kind in "fiub" and array.ndim in (1, 2) and len(array) == len(rows) and array.size:
            good = np.isfinite(array.reshape(len(rows), -1)).all(axis=1)
            if good.any():
                values = array[good].astype(np.float64)
                self._place(rows[good], values)
                self.shelf.write(self.masks[rows[good]], values)

    def _report(self) -> None:
        if self.progress is None:
            return
        elapsed = time.perf_counter() - self.began
        done = int(self.known.sum())
        masks, seconds = self._timed
        coming, coming_known = self.ahead
        total, done = len(self.masks) + coming, done + coming_known
        eta = seconds / masks * (total - done) if masks else None
        self.progress(Progress(done, total, self.from_store + coming_known, elapsed, eta))

    def _spread(self, executor: futures.Executor) -> None:
        """Batches over an executor's workers, few ahead, each written as soon as it is done."""
        with sent(self.game, executor) as game:
            self._spread_game(executor, game)

    def _spread_game(self, executor: futures.Executor, game: Sent) -> None:
        batches, more = self._batches(), True
        running: dict[futures.Future[tuple[object, tuple[str, ...]]], npt.NDArray[np.intp]] = {}
        began = time.perf_counter()
        failure: Exception | None = None
        back, tells = 0, False
        again: set[int] = set()  # first rows of batches that came back unusable: a worker may be ill, and not the game
        try:
            while more or running:
                # Some executors do not tell what they run: these get one more ahead with each batch that comes back.
                at_work = sum(future.running() for future in running) if tells else back
                while more and len(running) < _QUEUED + at_work and failure is None:
                    batch = next(batches, None)
                    if batch is None:
                        more = False
                        break
                    if not len(batch):  # all that is left is being measured elsewhere
                        break
                    try:
                        running[executor.submit(attempt, game, self.masks[batch], self.retries)] = batch
                    except futures.BrokenExecutor as error:
                        failure = died(error)
                if not running:
                    if failure is not None:
                        raise failure
                    time.sleep(_POLL if more else 0.0)
                    continue
                # For a while only: a Ctrl-C just before an endless wait would not end it.
                done, _ = futures.wait(running, timeout=_PATIENCE, return_when=futures.FIRST_COMPLETED)
                back += len(done)
                tells = tells or (not done and any(future.running() for future in running))
                for future in done:
                    batch = running.pop(future)
                    try:
                        result = future.result()
                        if int(batch[0]) not in again and self._is_unusable(batch, result[0]):
                            again.add(int(batch[0]))
                            running[executor.submit(attempt, game, self.masks[batch], self.retries)] = batch
                            continue
                        self._take(batch, result, began)
                    except futures.BrokenExecutor as error:
                        failure = failure or died(error)
                    except Exception as error:  # keep what the others are still measuring, then raise the first
                        failure = failure or error
                    began = time.perf_counter()
                if failure is not None:  # what has begun is paid for, what has not need not be
                    for future in [one for one in running if one.cancel()]:
                        del running[future]
                    if not running:
                        raise failure
        finally:
            for future in running:
                future.cancel()


def _store_notes(shelf: Shelf) -> Iterator[str]:
    """What a reader should know of a store that was damaged, or that could not be written to."""
    store = shelf.store
    if store.damaged:
        yield f"{store.damaged} values in the store {store.path} were damaged: they were measured again"
    if shelf.unwritten:
        yield (
            f"{shelf.unwritten} ablations could not be written to the store {store.path} ({store.trouble}): save this "
            "result, or they are lost when the process ends"
        )

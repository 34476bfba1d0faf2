"""Options that commands share, as dataclasses that cyclopts flattens; a subclass has other defaults.

A command takes ``options: SomeOptions | None = None`` and makes the default itself: of a default *instance* cyclopts
would drop the other fields as soon as one option is given. Annotations are evaluated here, without the import from
``__future__``: a subclass in another file would look their names up there.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from interplay._checks import as_path
from interplay._errors import InputError
from interplay._spectrum.indices import canonical_index
from interplay.estimators import get_estimator

Budget = Annotated[int, Parameter(help="The most ablations, each one model call.")]
Order = Annotated[int, Parameter(help="The largest combination to look for.")]
Index = Annotated[
    str | None,
    Parameter(
        help="Interaction index: bii, fbii, fsii, sii, stii, k-sii, mobius, fourier, sv, bv; if left out, the one that "
        "the ablations know best."
    ),
]
DrawnIndex = Annotated[
    str | None,
    Parameter(
        help="Interaction index: bii, fbii, mobius, fourier, bv from ablations at random; sv, sii, k-sii, stii or fsii "
        "from ablations of all sizes, drawn for it; bii if left out."
    ),
]
Ablate = Annotated[
    str | None,
    Parameter(help="What an ablated unit becomes: a string, 'delete', 'mend' or 'mask'; else what suits the model."),
]
Device = Annotated[str | None, Parameter(help="cpu, cuda, ...; a GPU where there is one.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a result is read out."""

    index: Index = None
    top: Annotated[int | None, Parameter(help="Rows in each table; as many as fit, and 10 in JSON, if left out.")] = (
        None
    )
    verbose: Annotated[
        bool,
        Parameter(name=["--verbose", "-v"], negative=(), help="Also how the fit was made, and every output."),
    ] = False
    html: Annotated[Path | None, Parameter(help="Also write a page to this file, which needs no network.")] = None
    json_: Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON instead of tables.")] = False

    def check(self, *inputs: str | Path) -> None:
        """Refuse what cannot be used, such as a result written over one of ``inputs``: before anything is paid for."""
        if self.index is not None:
            canonical_index(self.index)
        if self.top is not None and self.top < 0:
            raise InputError(f"--top must not be negative, but is {self.top}.")
        if self.html is not None:
            _check_writable(self.html)
        _check_apart(inputs, {"--html": self.html})


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options(Reading):
    """How a game is measured and explained, and where ablations and the result are kept."""

    index: DrawnIndex = None
    budget: Budget = 1000
    method: Annotated[str, Parameter(help="auto, exact, lasso, proxyspex, gp or spex.")] = "auto"
    order: Order = 5
    seed: Annotated[int, Parameter(help="Seed of every random choice.")] = 0
    until: Annotated[float | None, Parameter(help="Stop as soon as R² on unseen ablations is surely this high.")] = None
    store: Annotated[
        Path | None, Parameter(help="SQLite file of all ablations; default: runs.db in the user's cache folder.")
    ] = None
    no_store: Annotated[
        bool, Parameter(negative=(), help="Keep no ablations: a run that stops starts from nothing.")
    ] = False
    save: Annotated[Path | None, Parameter(help="Write the explanation to this file, for `interplay show`.")] = None

    def check(self, *inputs: str | Path) -> None:
        """Refuse what cannot be used, such as a result written over one of ``inputs``: before anything is paid for."""
        super().check(*inputs)
        get_estimator(self.method)
        if self.budget < 1:
            raise InputError(f"--budget must be at least 1 ablation, not {self.budget}.")
        if self.store is not None and self.no_store:
            raise InputError("--store and --no-store exclude each other: give one of them.")
        if self.save is not None:
            _check_writable(self.save)
        _check_apart(inputs, {"--save": self.save, "--html": self.html, "--store": self.store})


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ActionOptions(Options):
    """How the game of an action is measured and explained."""

    index: Annotated[str | None, Parameter(show=False)] = None

    def check(self, *inputs: str | Path) -> None:
        """As of `Options`; and what an action, which shows what it measured, has no use for."""
        super().check(*inputs)
        if self.index is not None:
            raise InputError(
                f"--index {self.index} is for the tables of an explanation, and this command shows what it measured: "
                "leave it out, or keep the explanation by --save and read it by interplay show --index."
            )


def _check_apart(inputs: Sequence[str | Path], written: Mapping[str, Path | None]) -> None:
    """Complain of one file in two roles: what is written last would be all that is left."""
    seen = {Path(file).expanduser().absolute(): "the input" for file in inputs if "\0" not in str(file)}
    for option, file in written.items():
        if file is None:
            continue
        other = seen.setdefault(as_path(file), option)
        if other != option:
            raise InputError(f"{other} and {option} are the same file, {file}: give each its own.")


def check_folder(folder: Path) -> None:
    """Complain of a folder that cannot be made or written into before anything is spent."""
    try:
        place = as_path(folder)
    except InputError as error:
        raise InputError(f"cannot write to {error}") from None
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as trial:
            trial.write(b"{}")
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror or error}.") from error


def _check_writable(save: Path) -> None:
    """Complain of a file that cannot be written before anything is spent."""
    try:
        target = as_path(save)
    except InputError as error:
        raise InputError(f"cannot save to {error}") from None
    if not target.parent.is_dir():
        raise InputError(f"cannot save to {save}: its folder does not exist.")
    if target.is_dir():
        raise InputError(f"cannot save to {save}: it is a folder; name a file in it.")
    if target.exists() and not target.is_file():
        raise InputError(f"cannot save to {save}: it is no regular file.")
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent) as trial:
            trial.write(b"{}")
    except OSError as error:
        raise InputError(f"cannot save to {save}: its folder cannot be written to ({error.strerror}).") from error

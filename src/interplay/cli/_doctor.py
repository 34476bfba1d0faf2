"""`interplay doctor`: what is installed, what is not and the pip line for it, and whether the demo models run."""

from __future__ import annotations

import importlib.metadata as metadata
import re
import sys
from collections.abc import Callable, Iterator

from interplay import __version__
from interplay._demo import demo_model
from interplay._errors import InterplayError
from interplay._visible import visible

_EXTRAS = ("hf", "demo", "frame", "api", "words", "lemma", "plot", "ray")


def doctor() -> None:
    """Say what is installed, what each extra lacks with its pip line, and whether the demo models run."""
    print(f"interplay {__version__}, Python {sys.version.split()[0]}")
    for extra in (None, *_EXTRAS):
        print(visible(_extra(extra)))
    for name, run in (("demo model (MiniLM)", _encoder), ("chat model (SmolLM2)", _chat)):
        print(visible(f"{name}: {_state(run)}"))


def _needs(extra: str | None) -> Iterator[str]:
    """The packages that an extra, or with None the package itself, asks for, extras within it included."""
    for line in metadata.requires("interplay") or ():
        named = re.fullmatch(r"([\w.-]+)(?:\[([\w,-]+)\])?[^;]*(?:; *extra == ['\"]([\w-]+)['\"])?", line)
        if named is None or named[3] != extra:
            continue
        if named[1] == "interplay":
            for inner in named[2].split(","):
                yield from _needs(inner)
        else:
            yield named[1]


def _extra(extra: str | None) -> str:
    """One line: the packages of an extra with their versions, or the line that brings those it lacks."""
    found, missing = [], []
    for package in _needs(extra):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            missing.append(package)
    name = "core" if extra is None else extra
    if not missing:
        return f"{name}: {', '.join(found)}"
    target = "interplay" if extra is None else f"interplay[{extra}]"
    return f"{name}: lacks {', '.join(missing)}: pip install '{target}'"


def _state(run: Callable[[], None]) -> str:
    try:
        run()
    except InterplayError as error:
        return str(error)
    except Exception as error:  # whatever is broken on this machine is what a reader wants to know
        return f"does not run ({type(error).__name__}: {(str(error) or 'no reason given').splitlines()[0]})"
    return "runs"


def _encoder() -> None:
    from interplay.models import Encoder

    Encoder.load(demo_model(), device="cpu").embed(["A word."])


def _chat() -> None:
    from interplay.models import CausalLM

    CausalLM.load(demo_model("chat"), device="cpu").logprob("Yes")(["Is snow white?"])

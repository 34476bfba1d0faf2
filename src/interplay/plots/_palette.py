"""What all plots share: the axes to draw on, two colours that colour-blind readers tell apart, and what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from interplay._checks import check_whole
from interplay._errors import InputError, MissingExtraError
from interplay._explain.explanation import Explanation
from interplay._findings.views import Effect, effects_of
from interplay._spectrum.interactions import Interactions, distinct_labels
from interplay._visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RAISES, LOWERS = "#0072b2", "#d55e00"  # Okabe and Ito's blue and vermilion, apart in every common colour blindness
FAINT, GREY, INK = "#9aa3ab", "#565f69", "#1a1d21"
DIVERGING = ("#a04000", "#d55e00", "#f3c7a6", "#f7f7f7", "#a9cfe8", "#0072b2", "#004b78")  # lowers to raises
LONGEST = 32  # characters of a label


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or new ones of a size in inches.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingExtraError.of("matplotlib", "plot") from error
    if ax is not None:
        return ax
    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def colour(value: float) -> str:
    """By the sign."""
    return RAISES if value > 0 else LOWERS


def diverging() -> Any:
    """A colour map from lowering over nothing to raising."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("interplay", DIVERGING)


def interactions_of(result: Explanation | Interactions, index: str | None) -> Interactions:
    """The interactions to draw: those given, or those of an explanation of one output."""
    if isinstance(result, Interactions):
        if index is not None and index != result.index:
            raise InputError(f"these are interactions of the index {result.index!r}, not {index!r}: leave index out.")
        return result
    if isinstance(result, Explanation):
        return result.interactions() if index is None else result.interactions(index)
    raise InputError(f"a plot takes an explanation or interactions, not {type(result).__name__}.")


def explanation_of(result: object, what: str) -> Explanation:
    """The explanation to draw, where interactions alone do not do."""
    if not isinstance(result, Explanation):
        raise InputError(f"{what} takes an explanation, not {type(result).__name__}.")
    return result


def strongest(found: Interactions, top: int, low: int = 1) -> tuple[list[Effect], int]:
    """The strongest sets of some sizes that differ from zero, and how many there are besides."""
    check_whole("top", top, 1)
    sized = found.of_order(low, len(found.labels))
    certain = [effect for effect in effects_of(sized) if not effect.faint]
    return certain[:top], len(certain) - len(certain[:top])


def labels_of(found: Interactions) -> tuple[str, ...]:
    """Labels that can be told apart, none too long, safe for any font."""
    return tuple(plain(label) for label in distinct_labels(found.labels, width=LONGEST))


def plain(text: str) -> str:
    """Text as it is: nothing in it is read as mathematics, and control characters are a sign that fonts have."""
    return visible(text).translate(dict.fromkeys(range(0x2400, 0x2422), "\ufffd")).replace("$", r"\$")


def joined(features: Sequence[int], labels: Sequence[str]) -> str:
    """A set as a row's name."""
    return " + ".join(labels[i] for i in features)


def counted(ax: Axes, left: int, what: str = "weaker sets") -> None:
    """Say how many are not drawn."""
    if left:
        words = f"{left} {what} not shown"
        ax.text(1, 1.005, words, transform=ax.transAxes, ha="right", va="bottom", fontsize=8, color=GREY)


def bare(ax: Axes) -> None:
    """No frame and no ticks."""
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)


def light(ax: Axes, *sides: str) -> None:
    """Only the ``sides`` of the frame, thin."""
    for name, side in ax.spines.items():
        side.set_visible(name in sides)
        side.set_color(FAINT)
    ax.tick_params(length=0, labelsize=9)

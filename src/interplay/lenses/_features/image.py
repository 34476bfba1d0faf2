"""The features of an image: the cells of a grid or given segments, ablated by blurring or filling them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._checks import array_of, check_whole, unknown
from interplay._errors import InputError
from interplay._game.cost import Cost
from interplay._game.game import Game
from interplay._game.layout import ImageLayout
from interplay._game.masks import Masks, Values
from interplay.lenses._features.predict import output_names, predicted
from interplay.lenses._features.segments import blocks, given_segments, grid_segments
from interplay.lenses._features.squares import in_squares

ABLATE = ("blur", "mean")
_BYTES = 64 << 20  # of images that predict is given at once
_IMAGES = 64
_EXACT = 16.0  # pixels of a Gaussian's width from which on it would take long
_LARGEST = 64  # pixels of the longer side of the picture that is kept for reports

Pixels: TypeAlias = npt.NDArray[Any]


def image(
    predict: Callable[[Any], Any],
    image: Any,
    *,
    grid: tuple[int, int] | None = None,
    segments: Any = None,
    ablate: str | float | Sequence[float] | npt.NDArray[Any] = "blur",
    outputs: Sequence[str] | None = None,
    batch_size: int | None = None,
    keep: float = 0.5,
    zoom: bool = False,
    name: str | None = None,
) -> Game:
    """A game whose features are parts of an image, and whose value is what ``predict`` makes of it.

    >>> import numpy as np, interplay as ip
    >>> picture = np.zeros((4, 4))
    >>> picture[0, 0] = picture[3, 3] = 1.0
    >>> def both(images):
    ...     return images[:, 0, 0] * images[:, 3, 3]
    >>> game = ip.lenses.image(both, picture, grid=(2, 2), ablate=0)
    >>> game.labels, ip.explain(game, budget=16).interactions("mobius").named()
    (('A1', 'B1', 'A2', 'B2'), [(('A1', 'B2'), 1.0)])

    Parameters
    ----------
    predict
        Images (N, H, W) or (N, H, W, C), in the shape and type of ``image``, to N floats or (N, T).
    image
        (H, W) or (H, W, C), whole or floating-point numbers, or a PIL image.
    grid
        ``(rows, columns)`` of cells as equal as whole pixels allow, labelled as in a spreadsheet: B3 is the second
        column's third cell.
    segments
        Instead of a grid, whole numbers (H, W) that label the segment of each pixel (negative: never ablated), or a
        stack of boolean masks (n, H, W), one per segment (pixels in none are never ablated).
    ablate
        "blur", a Gaussian as wide as a typical segment, which keeps the image's tones but no detail; "mean", the
        mean colour of the image; or what to fill in: a number, a colour (C,), or another image of the same shape.
    outputs
        Names of the T outputs.
    batch_size
        Images per call of ``predict``; 64, or as many as fit 64 MiB, when left out.
    keep
        The probability with which a design keeps each segment.
    zoom
        Begin with blocks of a fine grid's cells, which `interplay.explain` opens where they matter, down to cells.
        The Gaussian of "blur" is then as wide as a block, so that nothing of one that is ablated can be made out.
    name
        The game's identity in a store, without which there is none: ``predict`` may be any function.

    Raises
    ------
    InputError
        For an image of another shape or with NaN, a grid finer than the image, segments of another shape, empty or
        overlapping ones, or an ``ablate`` that is neither known nor fits the image.
    """
    names = output_names(predict, outputs)
    pixels = _pixels(image)
    if (grid is None) == (segments is None):
        raise InputError("pass either grid=(rows, columns) or segments=, an array of labels, and not both.")
    shape = (pixels.shape[0], pixels.shape[1])
    parts = grid_segments(grid, shape) if grid is not None else given_segments(segments, shape)
    if zoom and parts.grid is None:
        raise InputError(
            "zoom needs a grid, whose cells have neighbours: pass grid=(rows, columns), or leave zoom out."
        )
    parts, squares = in_squares(parts) if zoom else (parts, ())
    if batch_size is not None:
        check_whole("batch_size", batch_size, least=1)
    at_once = batch_size or max(1, min(_IMAGES, _BYTES // pixels.nbytes))
    small = tuple(map(tuple, parts.shrunk(_LARGEST).tolist()))
    notes = ("the image is a single segment, so there is nothing to combine",) if parts.count == 1 else ()
    side = parts.side * sqrt(max((square.end - square.start for square in squares), default=1))
    value = _ImageAblation(predict, pixels, _fill(pixels, ablate, side), parts.of_pixel, at_once)
    game = Game(
        value,
        parts.labels,
        outputs=names,
        name=name,
        layout=ImageLayout(_thumbnail(pixels), small, shape, parts.grid),
        batch_size=at_once,
        notes=notes,
        keep=keep,
        inputs=value.images,
        price=value.price,
        question="Which segments of the image drive the prediction?",
    )
    return game.zoomed(squares) if zoom else game


@dataclass(frozen=True, eq=False)
class _ImageAblation:
    """Masks to images to predictions; ``of_pixel`` (H, W) is the feature that each pixel belongs to, -1 for none."""

    predict: Callable[[Any], Any] = field(repr=False)
    image: Pixels = field(repr=False)
    fill: Pixels = field(repr=False)
    of_pixel: npt.NDArray[np.intp] = field(repr=False)
    batch_size: int

    def images(self, masks: Masks) -> Pixels:
        """The image of each mask (N, n)."""
        always = np.ones((len(masks), 1), dtype=np.bool_)  # what -1 points to: pixels of no segment
        kept = np.concatenate([masks, always], axis=1)[:, self.of_pixel]  # (N, H, W)
        return np.where(kept if self.image.ndim == 2 else kept[..., None], self.image, self.fill)

    def price(self, ablations: int) -> Cost:
        """One prediction for each ablation."""
        return Cost(ablations, "predictions")

    def __call__(self, masks: Masks) -> Values:
        starts = range(0, len(masks), self.batch_size)
        return np.concatenate([self._predicted(masks[start : start + self.batch_size]) for start in starts])

    def _predicted(self, masks: Masks) -> Values:
        return predicted(self.predict, self.images(masks), len(masks), "images")


def _pixels(image: Any) -> Pixels:
    """A copy of the image as an array, checked; palettes and bits of a PIL image become colours and greys."""
    if hasattr(image, "convert") and hasattr(image, "mode"):
        image = image.convert({"P": "RGB", "1": "L"}.get(image.mode, image.mode))
    if image is None or isinstance(image, (str, bytes, os.PathLike)):
        raise InputError(f"the image is {image!r}, not pixels: open it first, as by PIL.Image.open(path).")
    pixels = array_of(image, "image").copy()
    if pixels.dtype.kind not in "uif":
        raise InputError(f"the image must hold numbers, not {pixels.dtype}: pass image.astype(float) if that is meant.")
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise InputError(f"the image must have shape (height, width) or (height, width, channels), not {pixels.shape}.")
    if pixels.ndim == 3 and pixels.shape[2] > 4 and pixels.shape[0] in (1, 3, 4):
        raise InputError(
            f"the image has shape {pixels.shape}, which looks like channels first: pass image.transpose(1, 2, 0), and "
            "transpose back in predict."
        )
    if not np.isfinite(pixels).all():
        raise InputError(f"the image holds {int((~np.isfinite(pixels)).sum())} values that are NaN or infinite.")
    return pixels


def _fill(pixels: Pixels, ablate: Any, side: float) -> Pixels:
    """The image that shows where segments of that side are ablated, of the image's shape and type."""
    if isinstance(ablate, str):
        if ablate not in ABLATE:
            raise unknown("ablate", ablate, ABLATE)
        return _as_type(_blurred(pixels, side) if ablate == "blur" else _mean(pixels), pixels)
    given = array_of(ablate, "ablate")
    if given.dtype.kind not in "uif":
        raise InputError(f"ablate must be 'blur', 'mean', a number, a colour or an image, not {ablate!r}.")
    channels = pixels.shape[2:]
    if given.shape not in ((), channels, pixels.shape):
        known = "a number, or" if not channels else f"a number, a colour of shape {channels}, or"
        raise InputError(
            f"ablate has shape {given.shape}, but it must be {known} an image of the same shape {pixels.shape}."
        )
    if not np.isfinite(given).all():
        raise InputError("ablate holds NaN or infinite values: fill with numbers.")
    if pixels.dtype.kind != "f":
        span = np.iinfo(pixels.dtype)
        if given.min() < span.min or given.max() > span.max:
            raise InputError(
                f"ablate reaches from {given.min():g} to {given.max():g}, outside the image's {pixels.dtype}, "
                f"{span.min} to {span.max}."
            )
        if (given != np.round(given)).any():
            raise InputError(f"ablate has fractions, but the image holds whole numbers ({pixels.dtype}): round it.")
    return _as_type(np.broadcast_to(given, pixels.shape), pixels)


def _blurred(pixels: Pixels, sigma: float) -> Pixels:
    """A Gaussian blur; wide ones by three running means, near enough one and as fast whatever their width."""
    from scipy.ndimage import gaussian_filter, uniform_filter

    tones = pixels.astype(np.float64)
    if sigma <= _EXACT:
        sigmas = (sigma, sigma, 0.0)[: pixels.ndim]  # colours are not mixed with one another
        return np.asarray(gaussian_filter(tones, sigmas, mode="reflect"))
    side = round(sqrt(4 * sigma**2 + 1))  # three boxes of s pixels have the variance (s^2 - 1) / 4
    side += 1 - side % 2
    for _ in range(3):
        tones = np.asarray(uniform_filter(tones, (side, side, 1)[: pixels.ndim], mode="reflect"))
    return tones


def _mean(pixels: Pixels) -> Pixels:
    return np.broadcast_to(pixels.mean(axis=(0, 1), dtype=np.float64), pixels.shape)


def _as_type(filled: Pixels, pixels: Pixels) -> Pixels:
    whole = pixels.dtype.kind != "f" and filled.dtype.kind == "f"
    return (np.round(filled) if whole else filled).astype(pixels.dtype)


def _thumbnail(pixels: Pixels) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """A small picture of 0 to 255 for reports: [0, 1] or bytes as they are, any other range stretched."""
    tones = pixels.astype(np.float64)
    channels = 1 if tones.ndim == 2 else tones.shape[2]
    tones = tones.reshape(*pixels.shape[:2], channels)
    if channels in (2, 4):  # without transparency
        tones = tones[..., :-1]
    tones = tones[..., [0, 0, 0]] if tones.shape[2] == 1 else tones
    if tones.shape[2] != 3:
        tones = tones.mean(axis=2, keepdims=True)[..., [0, 0, 0]]
    low, high = float(tones.min()), float(tones.max())
    if pixels.dtype != np.uint8:
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
        tones = (tones - low) / ((high - low) or 1.0) * 255
    rows, columns = blocks(pixels.shape[0], pixels.shape[1], _LARGEST)
    sums = np.add.reduceat(np.add.reduceat(tones, rows, axis=0), columns, axis=1)
    areas = np.diff([*rows, pixels.shape[0]])[:, None] * np.diff([*columns, pixels.shape[1]])[None]
    small = np.round(sums / areas[..., None]).astype(int)
    return tuple(tuple((int(r), int(g), int(b)) for r, g, b in row) for row in small)

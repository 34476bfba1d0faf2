"""Segments of an image: the cells of a grid, labels, or a stack of masks, as one feature number per pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._checks import array_of
from interplay._errors import InputError
from interplay._game.layout import letters

Features: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Segments:
    """``of_pixel`` (H, W): the feature, from 0, that each pixel belongs to, -1 for none; and a label for each."""

    of_pixel: Features = field(repr=False)
    labels: tuple[str, ...]
    grid: tuple[int, int] | None = None

    @property
    def count(self) -> int:
        """The number of segments."""
        return len(self.labels)

    @property
    def side(self) -> float:
        """The side in pixels of a square as large as a segment is on average."""
        return sqrt(float((self.of_pixel >= 0).sum()) / self.count)

    def shrunk(self, largest: int) -> Features:
        """The segments of a picture whose longer side has at most ``largest`` pixels.

        A pixel belongs to the segment that holds most of what it covers; a segment that would vanish takes the
        pixel of which it holds most.
        """
        height, width = self.of_pixel.shape
        rows, columns = blocks(height, width, largest)
        row_of = np.searchsorted(rows, np.arange(height), side="right") - 1
        column_of = np.searchsorted(columns, np.arange(width), side="right") - 1
        cell = row_of[:, None] * len(columns) + column_of[None]
        choices = self.count + 1  # the last is that of no segment
        votes = np.bincount(
            (cell * choices + self.of_pixel % choices).ravel(), minlength=len(rows) * len(columns) * choices
        ).reshape(-1, choices)
        small = votes.argmax(axis=1)
        small[small == self.count] = -1
        for lost in np.setdiff1d(np.arange(self.count), small):
            small[votes[:, lost].argmax()] = lost
        shrunk: Features = small.reshape(len(rows), len(columns)).astype(np.intp)
        return shrunk


def blocks(height: int, width: int, largest: int) -> tuple[Features, Features]:
    """The first rows and columns of the blocks that become one pixel each of a picture of at most ``largest``."""
    scale = max(1.0, max(height, width) / largest)
    counts = (max(1, round(height / scale)), max(1, round(width / scale)))
    rows, columns = (np.arange(count) * length // count for count, length in zip(counts, (height, width), strict=True))
    return rows.astype(np.intp), columns.astype(np.intp)


def grid_segments(grid: Any, shape: tuple[int, int]) -> Segments:
    """Cells of a grid, row by row.

    Raises
    ------
    InputError
        For a grid that is no pair of whole numbers, or finer than the image.
    """
    try:
        rows, columns = (int(count) for count in grid)
        whole = (rows, columns) == tuple(grid)
    except (TypeError, ValueError):
        whole = False
    if not whole or min(rows, columns) < 1:
        raise InputError(f"grid must be two whole numbers of at least 1, (rows, columns), not {grid!r}.")
    if rows > shape[0] or columns > shape[1]:
        raise InputError(
            f"a grid of {rows} x {columns} cells is finer than the image of {shape[0]} x {shape[1]} pixels: ask for "
            "fewer cells."
        )
    row_of = np.arange(shape[0]) * rows // shape[0]
    column_of = np.arange(shape[1]) * columns // shape[1]
    labels = tuple(f"{letters(column)}{row + 1}" for row in range(rows) for column in range(columns))
    return Segments((row_of[:, None] * columns + column_of[None]).astype(np.intp), labels, (rows, columns))


def given_segments(given: Any, shape: tuple[int, int]) -> Segments:
    """Segments from labels (H, W) or boolean masks (n, H, W).

    Raises
    ------
    InputError
        For another shape or type, no segment at all, empty masks, or masks that overlap.
    """
    array = array_of(given, "segments")
    if array.dtype == np.bool_ and array.ndim == 3:
        return _of_masks(array, shape)
    if array.shape != shape:
        raise InputError(f"segments have shape {array.shape}, but the image has {shape[0]} x {shape[1]} pixels.")
    if array.dtype.kind not in "iu":
        raise InputError(
            f"segments must be whole numbers, one label per pixel, not {array.dtype}: pass segments.astype(int)."
        )
    present = np.unique(array)
    present = present[present >= 0]
    if not len(present):
        raise InputError("segments are all negative, which means never ablated: label at least one with 0 or more.")
    of_pixel = np.where(array >= 0, np.searchsorted(present, array), -1)
    return Segments(of_pixel.astype(np.intp), tuple(f"segment {label}" for label in present))


def _of_masks(masks: npt.NDArray[np.bool_], shape: tuple[int, int]) -> Segments:
    if masks.shape[1:] != shape or not len(masks):
        raise InputError(
            f"segment masks have shape {masks.shape}, but it must be (n, {shape[0]}, {shape[1]}) with n of at least 1."
        )
    for number, mask in enumerate(masks):
        if not mask.any():
            raise InputError(f"segment {number} is empty: leave it out.")
    covers = masks.sum(axis=0)
    if covers.max() > 1:
        raise InputError(
            f"{int((covers > 1).sum())} pixels are in several segments: give each pixel to one of them at most."
        )
    of_pixel = np.where(covers == 1, masks.argmax(axis=0), -1)
    return Segments(of_pixel.astype(np.intp), tuple(f"segment {number}" for number in range(len(masks))))

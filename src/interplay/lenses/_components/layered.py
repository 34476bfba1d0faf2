"""A network's parts from afar: layers that open into their heads, MLPs and groups of neurons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from interplay._game import tree
from interplay.lenses._components.select import Part

_MOST = 16  # parts into which a layer opens at once; more are first seen by the module that they are parts of
_LEVELS = {"H": "head", "X": "head"}  # by the letter of a part's column


def layered(parts: Sequence[Part]) -> tuple[tuple[Part, ...], tuple[tree.Part, ...]]:
    """The same parts layer by layer, and the layers as what they open from.

    A part that lies in no layer is a layer of its own, and so is the only part of one.
    """
    rows = list(dict.fromkeys(_row(part) for part in parts))
    ordered = tuple(sorted(parts, key=lambda part: (rows.index(_row(part)), part.path, part.side)))
    layers, at = [], 0
    for name, inside in groupby(ordered, key=_row):
        members = list(inside)
        found: list[tree.Part] = []
        for _, same in groupby(members, key=lambda part: (part.path, part.side)):
            slices = list(same)
            leaves = [tree.Part(part.label, _level(part), at + k, at + k + 1) for k, part in enumerate(slices)]
            crowded = len(members) > _MOST and 1 < len(slices) < len(members)
            found += [_joined(f"{name}.{_name(slices[0])}", "module", leaves)] if crowded else leaves
            at += len(slices)
        layers.append(found[0] if len(found) == 1 else _joined(name, "layer", found))
    return ordered, tuple(layers)


def _row(part: Part) -> str:
    return part.row or part.label


def _joined(label: str, level: str, inside: Sequence[tree.Part]) -> tree.Part:
    parts = tree.in_blocks(inside)
    return tree.Part(label, level, parts[0].start, parts[-1].end, parts)


def _level(part: Part) -> str:
    if (part.column or "")[:1] == "N":
        return "neuron" if part.columns is not None and len(part.columns) == 1 else "neurons"
    return _LEVELS.get((part.column or "")[:1], part.column if part.column in ("MLP", "attn", "layer") else "part")


def _name(part: Part) -> str:
    return {"H": "heads", "X": "cross heads", "N": "neurons"}.get((part.column or "")[:1], part.path)

"""Which parts of a network to ablate: a small immutable value that reads like a sentence."""

from __future__ import annotations

import difflib
import fnmatch
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, TypeAlias

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._networks.behaviour import network_in
from interplay.lenses._components.anatomy import ATTENTION_OUT, MLP, MLP_OUT, Layer, find_layers, layer_of, stack_names

Side: TypeAlias = Literal["input", "output", "update"]
Which: TypeAlias = int | Sequence[int] | None
_SHOWN = 8  # names of a module's parts, one by one
KINDS = ("heads", "attention", "mlps", "layers", "neurons")


@dataclass(frozen=True)
class Part:
    """One feature: what flows into or out of a module, whole or a slice of it.

    Attributes
    ----------
    label
        Its name in reports: "L3.H7".
    path
        The module, as in ``model.named_modules()``.
    side
        "input" or "output" of the module, or "update": output minus input, what a layer adds to its stream.
    columns
        The slice of the last dimension; None for all of it.
    row, column
        Where it stands in a grid of layers by parts; None where it lies in no layer.
    """

    label: str
    path: str
    side: Side
    columns: range | None = None
    row: str | None = None
    column: str | None = None


@dataclass(frozen=True)
class Select:
    """Parts of a network, by kind, layer and index, or by module path; ``+`` joins selections.

    >>> from interplay.lenses import Select
    >>> Select.heads(layers=range(8, 12)) + Select.mlps(layers=[10, 11])
    Select.heads(layers=range(8, 12)) + Select.mlps(layers=[10, 11])

    Layers count from 0 in each stack, negative ones from its end: ``layers=-1`` is the last.
    """

    choices: tuple[_Choice, ...]

    @classmethod
    def heads(
        cls, layers: Which = None, index: Which = None, *, stack: str | None = None, cross: bool | None = None
    ) -> Select:
        """Attention heads: each one's slice of the input of its layer's output projection.

        Parameters
        ----------
        layers, index
            Which layers, and which heads of each: numbers or ranges of them; all when left out.
        stack
            "encoder" or "decoder", where a model has several stacks of layers.
        cross
            True for heads that look from the decoder into the encoder only, False for the others only.
        """
        return cls((_Choice("heads", layers, index, stack=stack, cross=cross),))

    @classmethod
    def attention(cls, layers: Which = None, *, stack: str | None = None, cross: bool | None = None) -> Select:
        """Whole attention blocks: all that the output projection adds to the stream, its bias included."""
        return cls((_Choice("attention", layers, stack=stack, cross=cross),))

    @classmethod
    def mlps(cls, layers: Which = None, *, stack: str | None = None) -> Select:
        """MLPs: all that the last linear layer of each adds to the stream, its bias included.

        Where several stand side by side in a layer (experts beside a dense MLP), each is a part.
        """
        return cls((_Choice("mlps", layers, stack=stack),))

    @classmethod
    def layers(cls, layers: Which = None, *, stack: str | None = None) -> Select:
        """Whole layers: what each adds to the stream it reads, so that without it the stream passes unchanged."""
        return cls((_Choice("layers", layers, stack=stack),))

    @classmethod
    def neurons(
        cls, layers: Which = None, *, groups: int = 16, index: Which = None, stack: str | None = None
    ) -> Select:
        """Neurons of each MLP in ``groups`` contiguous groups; ``index`` chooses among the groups."""
        if groups < 1:
            raise InputError(f"groups must be at least 1, not {groups}.")
        return cls((_Choice("neurons", layers, index, stack=stack, slices=groups),))

    @classmethod
    def at(cls, path: str, *, side: Literal["input", "output"] = "output", slices: int = 1) -> Select:
        """Modules by path, ``*`` for anything: what they return (or take), cut into equal ``slices`` of its width.

        ``Select.at("blocks.*.attn.proj", side="input", slices=12)`` are the 12 heads of every block of a model
        whose heads are not found by themselves.
        """
        if side not in ("input", "output"):
            raise unknown("side", side, ["input", "output"])
        if slices < 1:
            raise InputError(f"slices must be at least 1, not {slices}.")
        return cls((_Choice("at", path=path, side=side, slices=slices),))

    @classmethod
    def of(cls, given: Select | str | Sequence[Select | str]) -> Select:
        """A selection as given, or of the name of a kind, a module path, or several of these."""
        if isinstance(given, Select):
            return given
        if not isinstance(given, (str, Sequence)):
            raise InputError(
                f"the selection must be a Select, the name of a kind ({', '.join(KINDS)}), a module path, or a list of "
                f"these, not {given!r}."
            )
        if not isinstance(given, str):
            return cls(tuple(chain.from_iterable(cls.of(one).choices for one in given)))
        if given in KINDS:
            return cls.of_kind(given, None)
        if given.isalpha() and given.islower() and given + "s" in KINDS:
            raise unknown("kind", given, KINDS)
        return cls.at(given)

    @classmethod
    def of_kind(cls, kind: str, layers: Which) -> Select:
        """The parts of a kind, by its name, in those layers."""
        if kind not in KINDS:
            raise unknown("kind", kind, KINDS)
        made: Callable[..., Select] = getattr(cls, kind)
        return made(layers)

    def __add__(self, other: Select) -> Select:
        return Select(self.choices + other.choices) if isinstance(other, Select) else NotImplemented

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.choices))

    def show(self, model: Any) -> str:
        """What would be selected of ``model``, one line for each module, before anything runs.

        >>> import interplay as ip
        >>> encoder = ip.models.Encoder.load(ip.demo_model(), device="cpu")
        >>> print(ip.lenses.Select.heads(layers=-1, index=range(3)).show(encoder))
        3 parts of BertModel
        L5  H0 H1 H2  input of encoder.layer.5.attention.output.dense, columns of 32
        """
        net = network_in(model)
        places: dict[tuple[str, str, Side, int | None], list[str]] = {}
        for part in self.parts(net):
            width = None if part.columns is None else len(part.columns)
            names = places.setdefault((part.row or "", part.path, part.side, width), [])
            names.append(part.column or part.label)
        shown = [" ".join(one) if len(one) <= _SHOWN else f"{one[0]} to {one[-1]}" for one in places.values()]
        left, middle = max(len(row) for row, *_ in places), max(map(len, shown))
        lines = [
            f"{row:<{left}}  {names:<{middle}}  {side} of {path}" + ("" if width is None else f", columns of {width}")
            for (row, path, side, width), names in zip(places, shown, strict=True)
        ]
        return "\n".join([f"{sum(map(len, places.values()))} parts of {type(net).__name__}", *map(str.strip, lines)])

    def parts(self, model: Any) -> tuple[Part, ...]:
        """The parts of ``model`` that are selected, each once, in the order of the selection.

        Raises
        ------
        InputError
            Where there are none; it says what was looked for and how to select by path.
        """
        found = dict.fromkeys(chain.from_iterable(choice.parts(model) for choice in self.choices))
        if not found:
            raise InputError("the selection is empty: select at least one kind of part.")
        return tuple(found)


@dataclass(frozen=True)
class _Choice:
    kind: str
    where: Which = None
    index: Which = None
    stack: str | None = None
    cross: bool | None = None
    slices: int = 1
    path: str = ""
    side: Side = "output"

    def __repr__(self) -> str:
        if self.kind == "at":
            words = [repr(self.path), *([f"side={self.side!r}"] if self.side != "output" else [])]
            words += [f"slices={self.slices}"] if self.slices > 1 else []
        else:
            options = {"layers": self.where, "index": self.index, "stack": self.stack, "cross": self.cross}
            words = [f"{name}={value!r}" for name, value in options.items() if value is not None]
            words += [f"groups={self.slices}"] if self.kind == "neurons" else []
        return f"Select.{self.kind}({', '.join(words)})"

    def parts(self, model: Any) -> list[Part]:
        if self.kind == "at":
            return list(self._at(model))
        layers = find_layers(model)
        stacks = stack_names(layers)
        if self.stack is not None:
            if self.stack not in stacks.values():
                raise unknown("stack", self.stack, [name for name in stacks.values() if name] or ["None"])
            layers = tuple(layer for layer in layers if stacks[layer.stack] == self.stack)
        chosen = [layer for layer in layers if self._takes(layer, layers)]
        parts = [part for layer in chosen for part in self._of_layer(layer, stacks[layer.stack])]
        if not parts:
            raise _nothing(self, model, layers)
        return parts

    def _takes(self, layer: Layer, layers: Sequence[Layer]) -> bool:
        depth = 1 + max(other.index for other in layers if other.stack == layer.stack)
        return self.where is None or layer.index in _numbers(self.where, depth, "layer")

    def _of_layer(self, layer: Layer, stack: str) -> Iterator[Part]:
        prefix = f"{stack}." if stack else ""
        row = f"{prefix}L{layer.index}"
        if self.kind == "layers":
            yield Part(row, layer.path, "update", row=row, column="layer")
        elif self.kind == "mlps":
            for place, path in enumerate(layer.mlps):
                name = path.rpartition(".")[2] if place else "MLP"
                yield Part(f"{row}.{name}", path, "output", row=row, column=name)
        elif self.kind == "neurons" and layer.neurons:
            yield from self._slices(layer.neurons, "input", layer.width, self.slices, row, "N")
        elif self.kind in ("heads", "attention"):
            for attention in layer.attentions:
                if self.cross is not None and attention.cross != self.cross:
                    continue
                letter = "X" if attention.cross else "H"
                if self.kind == "heads":
                    width = attention.heads * attention.size
                    yield from self._slices(attention.path, "input", width, attention.heads, row, letter)
                else:
                    name = "cross" if attention.cross else "attn"
                    yield Part(f"{row}.{name}", attention.path, "output", row=row, column=name)

    def _slices(self, path: str, side: Side, width: int, count: int, row: str, letter: str) -> Iterator[Part]:
        if count > width:
            raise InputError(f"{path} has {width} neurons, fewer than {count} groups: choose fewer groups.")
        edges = [round(k * width / count) for k in range(count + 1)]
        names = _numbers(self.index, count, "head" if letter in "HX" else "group") if self.index is not None else None
        for k in range(count):
            if names is None or k in names:
                name = f"{letter}{k}"
                yield Part(f"{row}.{name}", path, side, range(edges[k], edges[k + 1]), row, name)

    def _at(self, model: Any) -> Iterator[Part]:
        paths = [path for path, _ in model.named_modules() if path and fnmatch.fnmatchcase(path, self.path)]
        if not paths:
            known = [path for path, _ in model.named_modules() if path]
            near = difflib.get_close_matches(self.path, [*KINDS, *known], n=1)
            raise InputError(
                f"unknown module path {self.path!r}."
                + (f" Did you mean {near[0]!r}?" if near else "")
                + f" Choose a kind ({', '.join(KINDS)}), or a path as in model.named_modules(), with * for anything."
            )
        for path in paths:
            if self.slices == 1:
                yield Part(path if self.side == "output" else f"{path} (input)", path, self.side)
                continue
            width = _width_at(dict(model.named_modules())[path], self.side)
            if width is None or width % self.slices:
                raise InputError(
                    f"{path} cannot be cut into {self.slices} equal slices: the width of its {self.side} is "
                    f"{'unknown, as it is no linear layer' if width is None else width}."
                )
            size, row = width // self.slices, layer_of(path)
            for k in range(self.slices):
                place = range(k * size, (k + 1) * size)
                yield Part(f"{path}[{k}]", path, self.side, place, row, f"{k}" if row else None)


def _width_at(module: Any, side: Side) -> int | None:
    names = ("in_features",) if side == "input" else ("out_features", "nf")
    for name in names:
        if isinstance(getattr(module, name, None), int):
            return int(getattr(module, name))
    return int(module.weight.shape[0]) if side == "input" and hasattr(module, "nf") else None


def _numbers(given: int | Sequence[int], count: int, what: str) -> set[int]:
    """The numbers that ``given`` names among 0..count-1, negative ones from the end."""
    try:
        try:
            numbers = [operator.index(given)]  # type: ignore[arg-type]
        except TypeError:
            numbers = [operator.index(number) for number in given]  # type: ignore[union-attr]
    except TypeError:
        raise InputError(f"which {what}s must be a number, a list or a range of numbers, not {given!r}.") from None
    if not numbers:
        raise InputError(f"no {what} is selected by {given!r}: name at least one, or leave it out for all.")
    for number in numbers:
        if not -count <= number < count:
            raise InputError(f"there is no {what} {number}: there are {count}, counted from 0.")
    return {number % count for number in numbers}


def _nothing(choice: _Choice, model: Any, layers: Sequence[Layer]) -> InputError:
    looked = {
        "heads": f"a linear layer named {', '.join(ATTENTION_OUT)} in a module with 'attn' or 'attention' in its name",
        "mlps": f"a last linear layer named {', '.join(MLP_OUT)}, or a module named {', '.join(MLP)}",
    }
    looked |= {"attention": looked["heads"], "neurons": looked["mlps"], "layers": looked["heads"]}
    linear = [path for path, module in model.named_modules() if _width_at(module, "input") is not None]
    example = linear[len(linear) // 2] if linear else "blocks.*.attn.proj"
    how = f"Select.at({example!r}" + (", side='input', slices=number of heads)" if choice.kind == "heads" else ")")
    where = "inside numbered layers" if not layers else f"inside the {len(layers)} layers found"
    return InputError(
        f"{choice!r} found nothing in {type(model).__name__}: looked for {looked[choice.kind]}, {where}. "
        f"Select by module path instead, for example {how}."
    )

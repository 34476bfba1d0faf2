"""Games whose features are a network's own parts: attention heads, attention blocks, MLPs, layers, neurons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, Literal

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._game.game import Game
from interplay._game.layout import GridLayout
from interplay._game.tree import Part as Feature
from interplay._networks.hub import known_as, require_torch
from interplay.lenses._components.ablations import Ablations
from interplay.lenses._components.anatomy import find_layers, staying
from interplay.lenses._components.inputs import Inputs, Rows, Subject, is_texts, tensor_rows
from interplay.lenses._components.layered import layered
from interplay.lenses._components.metrics import Function, Metric, as_metric
from interplay.lenses._components.preparation import prepare
from interplay.lenses._components.select import Part, Select, Which
from interplay.lenses._components.slopes import gradients_of

ABLATIONS = ("zero", "mean", "resample")
_ROWS_PER_CALL = {"cpu": 256}  # that a killed run may lose: seconds of work
_ROWS_PER_CALL_ELSEWHERE = 2048  # a GPU does many more in a second, and needs them to be busy


def heads(
    model: Any,
    inputs: Inputs,
    metric: Metric | Callable[..., Any],
    *,
    layers: Which = None,
    ablate: Literal["zero", "mean", "resample"] = "zero",
    rescale: bool = False,
    reference: Inputs | None = None,
    each: bool = False,
    seed: int = 0,
    batch_size: int | None = None,
    keep: float = 0.5,
    zoom: bool = False,
    name: str | None = None,
) -> Game:
    """A game whose features are attention heads; an ablated head adds nothing to the stream (or its mean, ...).

    Works on any Hugging Face encoder, decoder or encoder-decoder. A head is its slice of the input of its layer's
    output projection, so grouped-query attention counts query heads. See `components` for the parameters.

    >>> import interplay as ip
    >>> from interplay._demo import demo_model
    >>> encoder = ip.models.Encoder.load(demo_model(), device="cpu")
    >>> pair = ("A dog runs.", "A puppy is running.")
    >>> game = ip.lenses.heads(encoder, [pair], ip.lenses.metrics.similarity(), layers=[4, 5])
    >>> game.n, game.labels[0], game.labels[-1]
    (24, 'L4.H0', 'L5.H11')

    Parameters
    ----------
    layers
        Numbers of layers, negative ones from the end; all when left out.
    """
    return components(
        model,
        Select.heads(layers=layers),
        inputs,
        metric,
        ablate=ablate,
        rescale=rescale,
        reference=reference,
        each=each,
        seed=seed,
        batch_size=batch_size,
        keep=keep,
        zoom=zoom,
        name=name,
    )


def components(
    model: Any,
    select: Select | str | Sequence[Select | str],
    inputs: Inputs,
    metric: Metric | Callable[..., Any],
    *,
    ablate: Literal["zero", "mean", "resample"] = "zero",
    rescale: bool = False,
    reference: Inputs | None = None,
    each: bool = False,
    seed: int = 0,
    batch_size: int | None = None,
    keep: float = 0.5,
    zoom: bool = False,
    name: str | None = None,
) -> Game:
    """A game whose features are parts of a network, ablated in the forward pass; the model itself never changes.

    Every row of a batch carries its own ablation, layers before the first ablated one run once, and the batch
    grows while that pays. The game needs the model to itself while it measures, in evaluation mode and without
    caches, and leaves it as it was.

    Parameters
    ----------
    model
        A PyTorch module, Hugging Face or other, or a model with its tokenizer such as `interplay.models.Encoder`.
    select
        A `Select`; the name of a kind, "heads", "attention", "mlps", "layers" or "neurons"; a module path, ``*``
        for anything; or several of these.
    inputs
        Texts, or pairs of texts, where the model has a tokenizer; else tensors with rows first: one, or a mapping
        of them as a tokenizer returns it.
    metric
        One of `interplay.lenses.metrics`, or a function of the model's output for B rows that returns a tensor
        (B,), or (B, T) for T outputs.
    ablate
        "zero"; "mean", over all tokens of the reference; or "resample", what the part carries on another input,
        drawn once for each input.
    rescale
        With "zero", multiply what is kept by n / (number kept), for the loss of the others (ProxySPEX).
    reference
        The inputs to take means or samples from; the inputs themselves when left out.
    each
        False for the mean of the metric over the inputs, True for one output per input from the same ablations.
    seed
        Seed of the choice of what is resampled.
    batch_size
        Rows per forward pass; found automatically when left out, and halved when memory runs out.
    keep
        The probability with which a design keeps each part: a language model with half of its heads gone is noise.
    zoom
        Begin with whole layers, which `interplay.explain` opens into their parts where they matter.
    name
        The game's identity in a store, needed where the metric is a plain function or the model is not a Hugging
        Face model.

    Raises
    ------
    InputError
        For parts that are not found, overlap or take no part in the forward pass, for inputs or targets that the
        model cannot take, or a metric that does not give one number for each input.
    AblationError
        When the model is being ablated by another game or thread.
    MissingExtraError
        Without torch and transformers.
    """
    require_torch()
    if ablate not in ABLATIONS:
        raise unknown("ablation", ablate, ABLATIONS)
    if rescale and ablate != "zero":
        raise InputError(f"rescale makes up for parts that are zero, but ablate is {ablate!r}: leave one of them out.")
    if reference is not None and ablate == "zero":
        raise InputError("a reference has no use with ablate='zero': choose ablate='mean' or 'resample'.")
    if batch_size is not None and (not isinstance(batch_size, Integral) or batch_size < 1):
        raise InputError(f"batch_size must be a whole number of at least 1 row, not {batch_size!r}.")
    if not isinstance(seed, Integral) or seed < 0:
        raise InputError(f"seed must be a whole number of at least 0, not {seed!r}.")
    subject = Subject.of(model)
    parts = Select.of(select).parts(subject.model)
    layers: tuple[Feature, ...] = ()
    if zoom:
        parts, layers = layered(parts)
    measured = as_metric(metric)
    bound = measured.bind(subject, inputs)
    source = None if reference is None else _reference_rows(subject, reference)
    ablations = prepare(
        subject, parts, bound, ablate=ablate, rescale=rescale, reference=source, each=each, seed=seed, rows=batch_size
    )

    left = staying(find_layers(subject.model), (part.path for part in parts))
    gradients = gradients_of(ablations, batch_size)
    per_call = _ROWS_PER_CALL.get(subject.device.type, _ROWS_PER_CALL_ELSEWHERE)

    def identity() -> dict[str, Any] | None:
        metric_identity = measured.identity()
        model_identity = None if metric_identity is None else subject.identity()
        if metric_identity is None or model_identity is None:
            return None
        drawn = {"reference": None if source is None else source.digest(), "seed": seed if ablate == "resample" else 0}
        what = {"lens": "components", "parts": [[p.path, p.side, repr(p.columns)] for p in parts], "each": each}
        return what | drawn | metric_identity | {
            "ablate": ablate,
            "rescale": rescale,
            "inputs": bound.rows.digest(),
            "model": model_identity,
            "pooling": subject.pooling,
        }  # fmt: skip

    game = Game(
        ablations,
        [part.label for part in parts],
        outputs=_outputs(inputs, ablations) if each else None,
        name=name,
        identity=identity,
        layout=_layout(parts),
        batch_size=max(8, max(per_call, batch_size or 0) // len(bound.rows)),
        notes=ablations.notes + ((left,) if left else ()),
        keep=keep,
        slopes=None if gradients is None else gradients[0],
        slope_cost=2.0 if gradients is None else 1.0 + gradients[1],
        question=f"Which components drive the {_words(measured)} of {known_as(subject.model)}?",
    )
    return game.zoomed(layers, blocks=False) if zoom else game


def _words(metric: Metric) -> str:
    """What a metric measures, for a reader."""
    named = metric.function if isinstance(metric, Function) else metric
    return getattr(named, "__name__", type(named).__name__).strip("<>").lower()


def _reference_rows(subject: Subject, reference: Inputs) -> Rows:
    if not is_texts(reference):
        return tensor_rows(reference, subject)
    groups = [(item,) if isinstance(item, str) else tuple(item) for item in reference]
    sizes = {len(group) for group in groups}
    if len(sizes) > 1:
        raise InputError("the reference must be texts, or pairs of texts, not both.")
    texts = [subject.fed(text) for group in groups for text in group]
    if not subject.seq2seq:
        return subject.rows(texts, per_input=sizes.pop())
    opening = list(subject.reader.opening or (0,))
    return subject.rows(texts, sizes.pop(), decoder_input_ids=[opening] * len(texts))


def _outputs(inputs: Inputs, ablations: Ablations) -> list[str]:
    """A name for each input: its text, numbered where texts repeat."""
    count = ablations.inputs
    if not is_texts(inputs):
        return [f"input {i}" for i in range(count)]
    names = [item if isinstance(item, str) else " | ".join(item) for item in inputs]
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]


def _layout(parts: Sequence[Part]) -> GridLayout | None:
    """The grid of layers by parts; None where a part lies outside it or two would share a cell."""
    places = [(part.row, part.column) for part in parts]
    if any(row is None or column is None for row, column in places) or len(set(places)) < len(places):
        return None
    rows = tuple(dict.fromkeys(str(row) for row, _ in places))
    columns = tuple(dict.fromkeys(str(column) for _, column in places))
    if len({row for row, _ in places}) == 1 and len(columns) == 1:
        return None
    cells = tuple((rows.index(str(row)), columns.index(str(column))) for row, column in places)
    return GridLayout(rows, columns, cells)

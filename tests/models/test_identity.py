"""What identifies a model is its content, however that was changed, and is not computed anew while nothing has."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from interplay._networks import identity  # noqa: E402
from interplay._networks.identity import model_identity  # noqa: E402
from networks import network, tokenizer  # noqa: E402


def weights_of(model: Any) -> str:
    known = model_identity(model, None)
    assert known is not None
    return str(known["weights"])


def _stepped(model: Any) -> None:
    with torch.no_grad():
        next(model.parameters()).add_(1e-7)


def _behind_the_counters(model: Any) -> None:
    next(model.parameters()).data[-1, -1] += 1e-6  # no counter of writes moves


def _rows_exchanged(model: Any) -> None:
    first = next(model.parameters()).data
    first[[1, 50]] = first[[50, 1]]


def _exchanged(model: Any) -> None:
    next(model.parameters()).data = torch.zeros_like(next(model.parameters()))


def _halved(model: Any) -> None:
    model.bfloat16()


def _negated(model: Any) -> None:
    for weight in model.parameters():
        weight.data.neg_()


def _every_second_negated(model: Any) -> None:
    next(model.parameters()).data[:, 1::2] *= -1


def _neighbours_exchanged(model: Any) -> None:
    weight = next(model.parameters()).data
    weight[:] = weight[[0, 2, 1, *range(3, len(weight))]]


def _rolled(model: Any) -> None:
    weight = next(model.parameters()).data
    weight[:] = weight.roll(1, dims=1)


CHANGES = [_stepped, _behind_the_counters, _rows_exchanged, _exchanged, _halved]
CHANGES += [_negated, _every_second_negated, _neighbours_exchanged, _rolled]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_change_of_the_weights_is_another_model_and_its_undoing_the_same(
    change: Callable[[Any], None], dtype: Any
) -> None:
    model = network("llama").to(dtype)
    before, untouched = copy.deepcopy(model), weights_of(model)
    change(model)
    anew = weights_of(copy.deepcopy(model))  # one that was never hashed
    assert weights_of(model) == anew
    assert (anew == untouched) == all(
        torch.equal(*both) for both in zip(before.parameters(), model.parameters(), strict=True)
    )
    model.to(dtype).load_state_dict(before.state_dict())
    assert weights_of(model) == untouched


def test_weights_are_hashed_once_while_they_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    model, hashed = network("llama"), []
    whole = identity._hash
    monkeypatch.setattr(identity, "_hash", lambda tensors: hashed.append(1) or whole(tensors))
    assert len({weights_of(model) for _ in range(3)}) == 1
    assert len(hashed) == 1
    _stepped(model)
    weights_of(model)
    assert len(hashed) == 2


def test_weights_of_odd_sizes_that_lie_anywhere_are_told_apart() -> None:
    for dtype, size in ((torch.float16, 131), (torch.uint8, 3), (torch.float64, 0), (torch.bool, 77)):
        held = torch.zeros(size + 5, dtype=dtype)
        first, second = {"weight": held[1 : 1 + size]}, {"weight": held[3 : 3 + size].clone()}
        assert identity._look(first) == identity._look(second)
        assert identity._hash(first) == identity._hash(second)
        if size:
            second["weight"][size - 1] = 1
            assert identity._look(first) != identity._look(second)
    assert identity._look({"weight": torch.tensor(1.0)}) != identity._look({"weight": torch.tensor([1.0])})


@pytest.mark.filterwarnings("ignore::UserWarning")  # quantised tensors are on their way out of PyTorch
def test_a_model_of_other_than_plain_numbers_is_not_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    for odd in (
        torch.quantize_per_tensor(torch.randn(4, 4), 0.1, 0, torch.qint8),
        torch.eye(3).to_sparse(),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.empty(2, device="meta"),
    ):
        model = network("llama")
        model.register_buffer("odd", odd)
        assert model_identity(model, None) is None
    model = network("llama")
    monkeypatch.setattr(type(model.model.norm), "get_extra_state", lambda self: {"calibrated": True})
    assert model_identity(model, None) is None


def test_a_tokenizer_with_a_word_more_is_another() -> None:
    words = tokenizer()
    before = identity._tokenizer_identity(words)
    words(["the cat", "the"], padding=True, return_tensors="pt")  # what it was asked last is not what it is
    assert identity._tokenizer_identity(words) == before
    words.add_tokens(["entirely-new"])
    assert identity._tokenizer_identity(words) != before

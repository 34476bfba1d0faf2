"""Slopes of parts are derivatives in their gates, beside the same values, and leave the model as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import interplay as ip
from interplay.lenses._components.hooks import sole_use

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.support.networks import network, score, tokens  # noqa: E402

STEP = 1e-3


def some_masks(n: int, count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).random((count, n)) < 0.6


def by_differences(game: ip.Game, masks: np.ndarray) -> np.ndarray:
    """Central differences of the mean metric in every gate, in double precision."""
    ablations: Any = game.value
    inputs = ablations.inputs
    slopes = np.empty(masks.shape)
    sources = torch.arange(inputs)
    with sole_use(ablations.ablator.model):
        for row, mask in enumerate(masks):
            for h in range(game.n):
                ends = []
                for side in (STEP, -STEP):
                    gates = torch.from_numpy(mask.astype(np.float64)).repeat(inputs, 1)
                    gates[:, h] += side
                    ends.append(float(ablations.outputs(gates, sources).double().mean()))
                slopes[row, h] = (ends[0] - ends[1]) / (2 * STEP)
    return slopes


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
@pytest.mark.parametrize("select", ["heads", "mlps", "layers"])
def test_slopes_with_zeros_are_derivatives_beside_the_same_values(name: str, select: str) -> None:
    model = network(name).double()
    game = ip.lenses.components(model, select, tokens(name), score)
    masks = some_masks(game.n)
    values, slopes = game.slopes(masks)
    np.testing.assert_array_equal(values, game(masks))
    np.testing.assert_allclose(slopes, by_differences(game, masks), atol=1e-3 * np.abs(slopes).max())
    assert np.abs(slopes).max() > 1e-4


@pytest.mark.parametrize("options", [{"rescale": True}, {"ablate": "mean"}, {"ablate": "resample"}])
def test_slopes_of_other_ablations_leave_values_to_the_last_bit(options: dict[str, Any]) -> None:
    model = network("gpt2")
    game = ip.lenses.heads(model, tokens("gpt2"), score, **options)
    masks = some_masks(game.n)
    masks[0] = True
    values, slopes = game.slopes(masks)
    np.testing.assert_array_equal(values, game(masks))
    assert slopes.shape == masks.shape
    assert (slopes != 0).any(axis=0).all()


def test_mean_ablated_slopes_predict_jumps_where_parts_only_add() -> None:
    """The last layer's MLP, measured where it is added, with nothing behind it: the output is linear in its gate."""

    class Adding(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(3))

        def forward(self, x: Any) -> Any:
            return sum(part(x) for part in self.parts)

    torch.manual_seed(0)
    x = torch.randn(3, 4)
    for ablate in ("zero", "mean", "resample"):
        game = ip.lenses.components(Adding(), "parts.*", x, lambda output: output[:, 0], ablate=ablate)
        masks = ip.design(3, 8)
        values, slopes = game.slopes(masks)
        for h in range(3):
            other = masks.copy()
            other[:, h] ^= True
            jumps = (values - game(other)) * np.where(masks[:, h], 1, -1)
            np.testing.assert_allclose(slopes[:, h], jumps, atol=1e-6)


def test_each_input_and_each_output_has_slopes_of_its_own() -> None:
    model = network("gpt2")
    inputs = tokens("gpt2")
    each = ip.lenses.heads(model, inputs, score, each=True)
    masks = some_masks(each.n)
    values, slopes = each.slopes(masks)
    assert slopes.shape == (*values.shape, each.n)
    mean_values, mean_slopes = ip.lenses.heads(model, inputs, score).slopes(masks)
    np.testing.assert_allclose(slopes.mean(axis=1), mean_slopes, atol=1e-6)
    two = ip.lenses.heads(model, inputs, lambda output: torch.stack([score(output), -2 * score(output)], dim=1))
    assert two.slope_cost == 3
    _, both = two.slopes(masks)
    np.testing.assert_allclose(both, np.stack([mean_slopes, -2 * mean_slopes], axis=1), atol=1e-6)
    np.testing.assert_allclose(mean_values, values.mean(axis=1), atol=1e-6)


def test_slopes_leave_weights_gradients_and_hooks_as_they_were() -> None:
    model = network("gpt2")
    wanted = [weight.requires_grad for weight in model.parameters()]
    game = ip.lenses.heads(model, tokens("gpt2"), score)
    game.slopes(some_masks(game.n))
    assert [weight.requires_grad for weight in model.parameters()] == wanted
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_half_precision_has_slopes_near_those_of_full() -> None:
    inputs = tokens("gpt2")
    full = ip.lenses.heads(network("gpt2"), inputs, score)
    masks = some_masks(full.n, 12)
    half = ip.lenses.heads(network("gpt2").to(torch.bfloat16), inputs, score)
    correlation = np.corrcoef(full.slopes(masks)[1].ravel(), half.slopes(masks)[1].ravel())[0, 1]
    assert correlation > 0.95


def test_a_metric_without_derivative_makes_a_game_without_slopes() -> None:
    game = ip.lenses.heads(network("gpt2"), tokens("gpt2"), lambda output: (score(output) > 0).float())
    assert game.slopes is None

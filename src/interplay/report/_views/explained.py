"""The view of an explanation: the question, the answer in a sentence, how far to trust it, and what drives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from interplay._findings.grid import energy_shares
from interplay._findings.views import (
    Effect,
    Part,
    Ranking,
    Removal,
    Row,
    ShadedGrid,
    ShadedPicture,
    ShadedText,
    View,
    effects_of,
    signed,
)
from interplay._game.layout import GridLayout, IllustratedLayout, ImageLayout, TableLayout, TextLayout
from interplay._spectrum.interactions import Interactions, distinct_labels
from interplay._spectrum.spectrum import Spectrum
from interplay.report._views.headline import brief, cost_of, quality_of, question_of
from interplay.report._views.unfolded import effects_alone, unfolding_of

if TYPE_CHECKING:
    from interplay._explain.explanation import Explanation

MEANINGS = {
    "fourier": "Fourier coefficients (negative: keeping the set's odd parts raises the output)",
    "mobius": "Möbius transform (what exactly this set adds)",
    "sv": "Shapley values (shares of the output, interactions split evenly)",
    "bv": "Banzhaf values (mean effect of keeping a feature)",
    "sii": "Shapley interactions",
    "bii": "What a part adds, averaged over random removals of the others; a combination, beyond its parts (Banzhaf "
    "interactions)",
    "k-sii": "k-Shapley interactions (shares of the output)",
    "stii": "Shapley-Taylor interactions (shares of the output)",
    "fsii": "Faith-Shapley interactions (best fit, exact at both ends)",
    "fbii": "Faith-Banzhaf interactions (best fit over all ablations)",
}
MOST = 3000  # sets of a ranking
_OFF = 1.645**2  # of the variance expected: errors at the ends beyond a 90% interval are worth a word
_WORTH = 0.05  # of the strongest: sets below it are not outlined
_OUTLINED = 3
_POOR = 0.5  # R² below which it matters how the fit was made


def explanation_view(explanation: Explanation, index: str | None, *, removals: Sequence[Removal] = ()) -> View:
    """The view of an explanation by one index, its own where it is None; of several outputs, with a choice for each.

    ``removals`` are what was measured with some features gone, where somebody did.
    """
    if len(explanation.fits) == 1:
        return _one(explanation, index, removals)
    names = explanation.outputs or tuple(map(str, range(len(explanation.fits))))
    choices = tuple(
        replace(_one(replace(explanation.for_output(position), outline=()), index, ()), name=name)
        for position, name in enumerate(names)
    )
    scores = [fit.faithfulness.r2 for fit in explanation.fits if not np.isnan(fit.faithfulness.r2)]
    known = f" of median R² {np.median(scores):.3f} on unseen ablations" if scores else ""
    return View(
        question_of(explanation),
        f"{len(names)} outputs were explained by the same ablations, with fits{known}.",
        unfolding_of(explanation),
        notes=explanation.game_notes,
        cost=cost_of(explanation),
        choices=tuple(replace(choice, notes=choice.notes[len(explanation.game_notes) :]) for choice in choices),
    )


def _one(explanation: Explanation, index: str | None, removals: Sequence[Removal]) -> View:
    quality = quality_of(explanation)
    found = explanation.interactions() if index is None else explanation.interactions(index)
    ranking = ranking_of(found, removals or _removals(explanation))
    if isinstance(explanation.layout, TableLayout):  # the values stand in the row
        ranking = replace(ranking, labels=distinct_labels(explanation.layout.names))
    made = explanation.fit.notes  # how the fit was made: worth a reader's time where it did not go well
    poor = not quality.known or quality.r2 < _POOR
    return View(
        question_of(explanation),
        _answer(explanation, ranking),
        (quality, ranking, *_placed(explanation, ranking), *unfolding_of(explanation, ranking.index)),
        notes=explanation.game_notes + (made if poor else ()),
        asides=() if poor else made,
        cost=cost_of(explanation),
    )


def _removals(explanation: Explanation) -> tuple[Removal, ...]:
    return tuple(Removal(one.features, one.full, one.measured) for one in explanation.removals)


def ranking_of(found: Interactions, removals: Sequence[Removal] = ()) -> Ranking:
    """The sets of an index, the strongest first."""
    return Ranking(
        effects_of(found.top(MOST)),
        distinct_labels(found.labels),
        found.index,
        MEANINGS[found.index],
        left=max(0, len(found) - MOST),
        combines=found.index not in ("sv", "bv"),
        removals=tuple(removals),
    )


def _placed(explanation: Explanation, ranking: Ranking) -> tuple[Part, ...]:
    """The features where they lie in what the user gave, each with the effect it has by itself."""
    layout = explanation.layout
    if layout is None:
        return ()
    effects, meaning = effects_alone(explanation, ranking.index)
    if isinstance(layout, TextLayout):
        return (ShadedText(layout, effects, meaning),)
    if isinstance(layout, GridLayout):
        return (ShadedGrid(layout, effects, meaning, _energy(explanation.spectrum, layout)),)
    if isinstance(layout, TableLayout):
        return (Row(layout.names, layout.values, layout.typical, effects, meaning),)
    if isinstance(layout, ImageLayout):
        return (ShadedPicture(layout, explanation.labels, effects, meaning, _outlined(ranking)),)
    if isinstance(layout, IllustratedLayout):
        k = layout.segments
        sets = tuple(effect for effect in _outlined(ranking) if max(effect.features) < k)
        most = max((abs(effect.value) for effect in effects if not effect.faint), default=0.0)
        picture = ShadedPicture(layout.picture, explanation.labels[:k], effects[:k], meaning, sets, most)
        return (ShadedText(layout.text, effects, meaning), picture)
    return ()


def _outlined(ranking: Ranking) -> tuple[Effect, ...]:
    """The sets that are worth outlining in a picture."""
    together = ranking.certain(2)
    least = _WORTH * max((abs(effect.value) for effect in together), default=0.0)
    return tuple(effect for effect in islice(together, _OUTLINED) if abs(effect.value) > least)


def _energy(spectrum: Spectrum, layout: GridLayout) -> tuple[tuple[str, float], ...]:
    """Shares of the energy by name; none of a spectrum without interactions."""
    shares = energy_shares(spectrum, layout)
    if shares is None or spectrum.order < 2:
        return ()
    return (
        ("single parts", shares.single),
        ("sets within a layer", shares.within),
        ("sets across layers", shares.across),
    )


def _answer(explanation: Explanation, ranking: Ranking) -> str:
    """One sentence: what the output is, with and without everything, and what drives it most."""
    ends = _ends(explanation)
    single = [_named(effect, ranking) for effect in ranking.certain(1, 1)[:2]]
    together = [_named(effect, ranking) for effect in ranking.certain(2)[:1]] if ranking.combines else []
    if not single and not together:
        return f"{ends}; no part and no combination of parts differs from zero."
    words = " and ".join(single)
    if together:
        words += f"{', and together ' if words else 'together '}{together[0]}"
    seen = f"; {_removed(ranking)} (measured)" if ranking.removals else ""
    return f"{ends}; it is driven most by {words}{seen}."


def _ends(explanation: Explanation) -> str:
    mean = explanation.spectrum.coefficients.get((), 0.0)
    doubt = explanation.fit.uncertainty
    empty_off, full_off = (1.0, 1.0) if doubt is None else doubt.ends
    measured = []
    if explanation.full is not None:
        measured.append(f"{explanation.full[0]:.3g} with everything kept{_fitted(explanation, full_off, kept=True)}")
    if explanation.empty is not None:
        measured.append(f"{explanation.empty[0]:.3g} with nothing{_fitted(explanation, empty_off, kept=False)}")
    return f"The output is {' and '.join(measured) or f'{mean:.3g} on average over ablations'}"


def _fitted(explanation: Explanation, off: float, *, kept: bool) -> str:
    """What the fit says of an end that was measured, where it is ``off`` by more than its error, squared."""
    if off <= _OFF:
        return ""
    says = float(explanation.spectrum.predict([[kept] * explanation.n])[0])
    return f" (the fit: {says:.3g})"


def _named(effect: Effect, ranking: Ranking) -> str:
    numbered = ranking.numbered and len(effect.features) > 2  # so many long parts would make no sentence
    words = " + ".join(f"S{i + 1}" if numbered else brief(ranking.labels[i]) for i in effect.features)
    return f"{words} ({signed(_short(effect))})"


def _short(effect: Effect) -> float:
    return float(f"{effect.value:.2g}")


def _removed(ranking: Ranking) -> str:
    first = ranking.removals[0]
    words = " and ".join(brief(ranking.labels[i]) for i in first.features)
    return f"without {words} it goes from {first.before:.3g} to {first.after:.3g}"

"""Views of what is read out of an explanation: interactions, a spectrum, the influences on one test point."""

from __future__ import annotations

from interplay._findings.influences import Influences
from interplay._findings.views import Ranking, Table, View, effects_of, signed
from interplay._spectrum.interactions import Interactions, distinct_labels
from interplay._spectrum.spectrum import Spectrum
from interplay.report._views.explained import MEANINGS, ranking_of

_ROWS = 12


def interactions_view(found: Interactions) -> View:
    """The sets of one index."""
    ranking = ranking_of(found)
    certain = ranking.certain()
    words = "none differs from zero"
    if certain:
        first = " + ".join(ranking.labels[i] for i in certain[0].features)
        words = f"the strongest is {first} ({signed(certain[0].value)})"
    return View(
        f"{found.index}: {MEANINGS[found.index]}", f"{len(found)} sets of at most {found.order}; {words}.", (ranking,)
    )


def spectrum_view(spectrum: Spectrum) -> View:
    """The coefficients of a spectrum."""
    constant = spectrum.coefficients.get((), 0.0)
    values = {key: value for key, value in spectrum.coefficients.items() if key}
    labels = distinct_labels([f"x{i}" for i in range(spectrum.n)])
    found = Interactions("fourier", max(1, spectrum.order), values, labels=labels, baseline=constant)
    effects = effects_of(found)
    return View(
        f"Spectrum of {spectrum.n} features",
        f"{len(spectrum)} coefficients up to order {spectrum.order}; mean {constant:.4g}, "
        f"variance {spectrum.variance:.4g}.",
        (Ranking(effects, labels, "fourier", MEANINGS["fourier"]),),
    )


def influences_view(found: Influences) -> View:
    """The training examples of one test point, and their pairs."""
    singles = sorted((*found.helpful, *found.harmful), key=lambda item: (-abs(item[1]), item[0]))
    rows = tuple((f"#{i}", effect) for i, effect in singles[:_ROWS])
    pairs = tuple((f"#{a} + #{b}", pair.effect, pair.kind) for pair in found.pairs[:_ROWS] for a, b in [pair.features])
    return View(
        f"Which training examples drive {found.output}?",
        f"{len(found.helpful)} help, {len(found.harmful)} harm, and {len(found.pairs)} pairs act together.",
        (
            Table("Examples", ("example", "effect"), rows, left=len(singles) - len(rows)),
            Table("Pairs", ("pair", "effect", "kind"), pairs, left=len(found.pairs) - len(pairs)),
        ),
    )

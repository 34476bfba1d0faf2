"""Views of what is read out of an explanation: interactions, a spectrum, the influences on one test point."""

from __future__ import annotations

from collections.abc import Sequence

from interplay._findings.grid import EnergyShares
from interplay._findings.influences import Influences, Pair, TrainingSummary
from interplay._findings.views import Effect, Facts, Table, View, signed
from interplay._spectrum.indices import compute_index
from interplay._spectrum.interactions import Interactions
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
    """A spectrum by its Banzhaf interactions, which are its coefficients with signs that read naturally."""
    highest = max(1, spectrum.order)
    values, mean = compute_index(spectrum, "bii", highest)
    labels = [f"x{i}" for i in range(spectrum.n)]
    found = Interactions("bii", highest, values, labels=labels, baseline=mean)
    constant = spectrum.coefficients.get((), 0.0)
    return View(
        f"Spectrum of {spectrum.n} features",
        f"{len(spectrum)} coefficients up to order {spectrum.order}; mean {constant:.4g}, "
        f"variance {spectrum.variance:.4g}.",
        (ranking_of(found),),
    )


def influences_view(found: Influences) -> View:
    """The training examples of one test point, and their pairs."""
    singles = sorted((*found.helpful, *found.harmful), key=lambda item: (-abs(item[1]), item[0]))
    rows = tuple((f"#{i}", Effect((i,), effect)) for i, effect in singles[:_ROWS])
    return View(
        f"Which training examples drive {found.output}?",
        f"{len(found.helpful)} help, {len(found.harmful)} harm, and {len(found.pairs)} pairs act together.",
        (Table("Examples", ("example", "effect"), rows, left=len(singles) - len(rows)), _pairs(found.pairs)),
    )


def summary_view(found: TrainingSummary) -> View:
    """The training examples of all test points, and their pairs."""
    rows = tuple((f"#{i}", Effect((i,), effect), pairs) for i, effect, pairs in found.examples[:_ROWS])
    kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in found.kinds) or "there are none"
    left = len(found.examples) - len(rows)
    return View(
        f"Which training examples interact most, over {found.outputs} outputs?",
        f"{len(found.pairs)} pairs act together: {kinds}.",
        (Table("Examples", ("example", "mean effect", "in pairs"), rows, left=left), _pairs(found.pairs)),
    )


def energy_view(found: EnergyShares) -> View:
    """Where a spectrum's energy lies."""
    shares = (("single parts", found.single), ("sets within a layer", found.within), ("across layers", found.across))
    facts = Facts("Energy", tuple((name, f"{share:.1%}") for name, share in shares))
    return View("Where does the energy lie?", f"{found.single:.1%} of it in single parts.", (facts,))


def _pairs(pairs: Sequence[Pair]) -> Table:
    rows = tuple(
        (f"#{a} + #{b}", Effect((a, b), one.effect), one.kind) for one in pairs[:_ROWS] for a, b in [one.features]
    )
    return Table("Pairs", ("pair", "effect", "kind"), rows, left=len(pairs) - len(rows))

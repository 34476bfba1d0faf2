"""Audits: planted effects recur, effects of chance do not, and one budget is shared out where it pays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

import interplay as ip

NAMES = ("Emily", "Jamal", "Anna")
JOBS = ("nurse", "doctor", "guard")


def prompts(count: int, seed: int) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "name": str(rng.choice(NAMES)),
            "job": str(rng.choice(JOBS)),
            "tail": str(rng.choice(["today", "again", "now"])),
        }
        for _ in range(count)
    ]


def maker(seed: int, planted: float) -> object:
    """Games of three words whose effects, alone and together, are drawn anew for every prompt, but for one pair."""
    rng = np.random.default_rng(seed)

    def make(case: dict[str, str]) -> ip.Game:
        labels = [case["name"], case["job"], case["tail"]]
        alone, pair = rng.normal(size=3), rng.normal(size=3)
        if {"Jamal", "nurse"} <= set(labels):
            pair[0] += planted

        def value(masks: np.ndarray) -> np.ndarray:
            a, b, c = (2.0 * masks - 1).T
            return masks * 2.0 @ alone - alone.sum() + pair[0] * a * b + pair[1] * a * c + pair[2] * b * c

        return ip.Game(value, labels)

    return make


def test_a_planted_pair_is_found_with_its_size_and_sign() -> None:
    done = ip.actions.audit(maker(0, 2.0), prompts(80, 0), budget=80 * 8)
    (found,) = [one for one in done.found if len(one.parts) == 2]
    assert found.parts == ("jamal", "nurse")
    assert found.low < 8.0 < found.high  # a joint effect of masks 0 and 1 is four times that of signs
    assert found.consistency > 0.9
    assert found.cases == sum(case["name"] == "Jamal" and case["job"] == "nurse" for case in done.cases)
    assert done.used == 80 * 8
    assert all(done.cases[i]["name"] == "Jamal" for i, _ in done.worst(3, "nurse", "jamal"))


def test_where_nothing_recurs_little_is_found() -> None:
    false = sum(bool(ip.actions.audit(maker(seed, 0.0), prompts(60, seed), budget=480).found) for seed in range(20))
    assert false <= 4  # 2 are expected at a rate of .1


def test_the_budget_goes_where_most_is_unexplained_and_is_never_exceeded() -> None:
    def make(case: int) -> ip.Game:
        rng = np.random.default_rng(case)
        values = rng.normal(size=1 << 10)

        def hard(masks: np.ndarray) -> np.ndarray:
            return values[masks @ (1 << np.arange(10))]

        return ip.Game(hard if case % 2 else lambda masks: masks[:, 0] * 1.0, 10)

    with ip.Store(":memory:") as store:
        done = ip.actions.audit(make, range(6), budget=600, method="lasso", order=1, store=store)
    assert done.from_store == 0  # what an earlier round of the same audit measured was not known before
    used = [explanation.used for explanation in done.explanations]
    assert done.used == sum(used) <= 600
    assert min(used[1::2]) > max(used[::2]) == 50


def test_a_store_pays_for_each_ablation_once_and_goes_on_where_it_stopped() -> None:
    calls: list[int] = []

    def make(case: int) -> ip.Game:
        return ip.Game(lambda masks: (calls.append(len(masks)), masks.sum(axis=1) * case)[1], 4, name=f"case {case}")

    with ip.Store(":memory:") as store:
        first = ip.actions.audit(make, range(1, 4), budget=36, at_least=2, store=store)
        spent = sum(calls)
        more = ip.actions.audit(make, range(1, 7), budget=72, at_least=2, store=store)
    assert spent == first.used == first.from_store + 24  # these games are explained at once: the rest is left
    assert sum(calls) == more.used == 48
    assert more.from_store == 24
    assert [one.parts for one in first.found] == []  # three prompts of one sign each are not yet sure
    assert {one.parts for one in more.found} == {("x0",), ("x1",), ("x2",), ("x3",)}


def test_games_that_are_small_enough_for_an_even_share_are_measured_whole() -> None:
    def make(case: int) -> ip.Game:
        return ip.Game(lambda masks: masks.prod(axis=1) * 1.0, 4 if case % 2 else 6)

    done = ip.actions.audit(make, range(6), budget=96, order=1)
    assert [explanation.used for explanation in done.explanations][1::2] == [16, 16, 16]
    assert all(explanation.method == "exact" for explanation in done.explanations[1::2])
    assert done.used <= 96


def test_parts_are_matched_by_slot_lemma_or_a_function() -> None:
    cases = [{"name": name, "job": job} for name in NAMES for job in JOBS]

    def make(case: dict[str, str]) -> ip.Game:
        return ip.lenses.text(
            lambda texts: [1.0 * ("nurses" in text or "guards" in text) for text in texts],
            f"{case['name']} knows two {case['job']}" + ("" if case["job"].endswith("s") else "s"),
            ablate="_",
        )

    by_slot = ip.actions.audit(make, [{**case, "job": case["job"] + "s"} for case in cases], budget=9 * 16, by="slot")
    assert {one.parts for one in by_slot.findings if len(one.parts) == 1} >= {("{name}",), ("{job}",), ("knows",)}
    by_lemma = ip.actions.audit(make, cases, budget=9 * 16, by="lemma", at_least=3, least=0.1)
    assert {one.parts for one in by_lemma.found} == {("nurse",), ("guard",)}
    own = ip.actions.audit(
        make, cases, budget=9 * 16, by=lambda label, case: None if label in case["name"] else str(len(label))
    )
    assert all(part.isdigit() for one in own.findings for part in one.parts)


def test_a_smallest_effect_of_interest_leaves_small_ones_out() -> None:
    def make(case: int) -> ip.Game:
        noise = np.random.default_rng(case).normal(size=2) * 0.01
        return ip.Game(lambda masks: masks @ (np.array([0.05, 1.0]) + noise), ["small", "large"])

    everything = ip.actions.audit(make, range(20), budget=160)
    assert {("small",), ("large",)} <= {one.parts for one in everything.found}
    assert {one.parts for one in ip.actions.audit(make, range(20), budget=160, least=0.2).found} == {("large",)}


def test_counterfactual_fillings_are_compared_in_pairs() -> None:
    from scipy.stats import ttest_rel

    def score(texts: list[str]) -> list[float]:
        return [0.5 * ("he" in text.split()) + crc32(text.encode()) % 97 / 500 for text in texts]

    def make(case: dict[str, str]) -> ip.Game:
        return ip.lenses.text(score, "the {job} said {who} left {tail}".format(**case), ablate="_")

    cases = [
        {"name": "Anna", "job": job, "tail": tail, "who": "she"}
        for job in (*JOBS, "cook")
        for tail in ("today", "again", "now")
    ]
    done = ip.actions.audit(make, cases, budget=12 * 16, counterfactuals={"who": ["he", "she", "they"]})
    outputs = {
        who: [score(["the {job} said {who} left {tail}".format(**(case | {"who": who}))])[0] for case in cases]
        for who in ("he", "she", "they")
    }
    assert len(done.contrasts) == 3
    for one in done.contrasts:
        expected = ttest_rel(outputs[one.first], outputs[one.second])
        assert one.p == pytest.approx(expected.pvalue)
        assert one.mean == pytest.approx(np.mean(outputs[one.first]) - np.mean(outputs[one.second]))
        assert one.p <= one.q
    assert done.contrasts[0].q < 0.001
    assert {done.contrasts[0].first, done.contrasts[1].first} == {"he"}
    assert done.used == sum(one.used for one in done.explanations) + 36


def test_slices_tables_and_json_say_the_same() -> None:
    done = ip.actions.audit(maker(1, 2.0), prompts(60, 1), budget=480)
    slices = done.slices("jamal", over="job")
    assert [one.group for one in slices] == ["doctor", "guard", "nurse"]
    (single,) = [one for one in done.findings if one.parts == ("jamal",)]
    assert sum(one.cases for one in slices) == single.cases
    assert sum(one.cases * one.mean for one in slices) == pytest.approx(single.cases * single.mean)
    parts = json.loads(json.dumps(done.to_dict(), allow_nan=False))
    frame = done.to_frame()
    assert len(parts["findings"]) == len(frame) == len(done.findings)
    assert frame["found"].sum() == parts["found"] == len(done.found)
    assert (np.diff(frame["q"]) >= 0).all()
    with pytest.raises(ip.InputError, match="no prompt holds x"):
        done.slices("x", over="job")


def noise(texts: list[str]) -> list[float]:
    """Nothing but the texts' check sums: as good as drawn anew for every text, and always the same for one."""
    return [crc32(text.encode()) / 2**32 for text in texts]


class Noise:
    """The same, with an identity for the store; every one made is another object."""

    def __call__(self, texts: list[str]) -> list[float]:
        return noise(texts)

    def identity(self) -> dict[str, str]:
        return {"scorer": "noise"}


@pytest.mark.parametrize("scorer", [lambda: noise, Noise])
def test_a_prompt_that_is_asked_again_is_no_further_evidence(scorer: Callable[[], object], tmp_path: Path) -> None:
    def make(text: str) -> ip.Game:
        return ip.lenses.text(scorer(), text, ablate="_")

    done = ip.actions.audit(make, ["the cook said hello"] * 8, budget=8 * 16, at_least=2)
    assert done.findings == ()
    assert (len(done.cases), len(done.explanations), done.used) == (1, 1, 16)
    words = ["ran", "sat", "fell", "sang", "left"]
    cases = [f"the {who} {what}" for what in words for who in ("cook", "cook", "nurse", "cook")]
    mixed = ip.actions.audit(make, cases, budget=20 * 8)
    once = ip.actions.audit(make, list(dict.fromkeys(cases)), budget=20 * 8)
    assert mixed.cases == once.cases
    assert (mixed.findings, mixed.used, once.notes) == (once.findings, once.used, ())
    (note,) = mixed.notes
    assert "10 of 20" in note
    assert note in str(mixed)
    assert mixed.view().notes == mixed.notes
    assert mixed.to_dict()["notes"] == [note]
    mixed.to_html(tmp_path / "page.html")
    assert note in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_slot_that_the_template_leaves_out_makes_no_other_prompts() -> None:
    cases = [{"who": who, "number": str(number)} for who in ("he", "she") for number in range(6)]

    def make(case: dict[str, str]) -> ip.Game:
        return ip.lenses.text(noise, f"then {case['who']} left", ablate="_")

    done = ip.actions.audit(make, cases, budget=12 * 8, counterfactuals={"who": ["he", "she", "they"]})
    assert [case["who"] for case in done.cases] == ["he", "she"]
    assert [one.cases for one in done.contrasts] == [1, 1, 1]
    assert done.used == 2 * 8 + 3
    assert all(one.q == 1.0 for one in done.contrasts)  # of a single pair
    json.dumps(done.to_dict(), allow_nan=False)
    assert str(done).count("a single pair") == 3
    assert "nan" not in str(done)
    assert "nan" not in str(done.view())


def test_what_differs_in_the_exchanged_slot_alone_gives_one_pair() -> None:
    plain = lambda case: ip.Game(lambda masks: masks.sum(axis=1) + crc32(repr(case).encode()) / 2**32, 3)  # noqa: E731
    text = lambda case: ip.lenses.text(noise, "{who} {what}".format(**case), ablate="_")  # noqa: E731
    cases = [{"who": who, "what": what} for who in ("he", "she", "it") for what in ("ran", "sat", "fell")]
    for make in (plain, text):
        done = ip.actions.audit(make, cases, budget=9 * 8, counterfactuals={"who": ["he", "she"]})
        assert [one.cases for one in done.contrasts] == [3]
        assert done.used == sum(one.used for one in done.explanations) + 2 * 3
        alone = ip.actions.audit(make, cases[:3], budget=9 * 8, counterfactuals={"who": ["he", "she"]})
        assert done.contrasts == alone.contrasts


@pytest.mark.parametrize("name", [None, "cooks"])
def test_methods_and_names_tell_that_prompts_are_the_same(name: str | None) -> None:
    class Model:
        def score(self, texts: list[str]) -> list[float]:
            return noise(texts)

    model = Model()
    done = ip.actions.audit(
        lambda text: ip.lenses.text(model.score, text, ablate="_", name=name), ["it rains"] * 3, budget=3 * 8
    )
    assert done.cases == ("it rains",)


def test_games_that_differ_or_cannot_be_compared_stay() -> None:
    def other_ablation(case: int) -> ip.Game:
        return ip.lenses.text(noise, "the cook said hello", ablate="_" * (case + 1))

    def other_scorer(case: int) -> ip.Game:
        return ip.lenses.text(lambda texts: [case + len(text) for text in texts], "the cook said hello", ablate="_")

    def unknown(case: int) -> ip.Game:
        return ip.Game(lambda masks: masks.sum(axis=1) * case, 3)

    for make in (other_ablation, other_scorer, unknown):
        done = ip.actions.audit(make, range(4), budget=4 * 8)
        assert (done.cases, done.notes) == ((0, 1, 2, 3), ())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"counterfactuals": {"nope": ["he", "she"]}}, "with a slot 'nope'"),
        ({"counterfactuals": {"name": ["he"]}}, r"two different fillings, not \['he'\]"),
        ({"counterfactuals": {"name": "he"}}, "a list of fillings, such as .*, not 'he'"),
        ({"counterfactuals": {"name": 3}}, "a list of fillings, such as .*, not 3"),
        ({"counterfactuals": {"name": [["he"], ["she"]]}}, "a list of fillings"),
        ({"counterfactuals": ["name"]}, "must map a slot to its fillings"),
        ({"index": "zz"}, "unknown index 'zz'"),
        ({"seed": -1}, "seed must be"),
        ({"at_least": 1}, "at_least must be"),
        ({"order": 0}, "order must be"),
        ({"least": float("nan")}, "least must be"),
        ({"least": "large"}, "least must be"),
        ({"output": "c"}, "unknown output 'c'"),
        ({"output": 2}, "no output 2"),
        ({"output": 1.0}, "a name or a whole number, not 1.0"),
        ({"output": None}, "the games have 2 outputs: choose one with output="),
        ({"by": "slot", "cases": [{"name": "Anna"}] * 3 + ["Anna"]}, "map slots to texts"),
        ({"cases": "Anna"}, r"pass \['Anna'\]"),
    ],
)
def test_a_mistake_is_named_before_anything_is_paid(options: dict[str, object], words: str) -> None:
    def never(masks: np.ndarray) -> np.ndarray:
        raise AssertionError("measured")

    options = {"cases": prompts(4, 0), "budget": 64, "output": "a"} | options
    with pytest.raises(ip.InputError, match=words):
        ip.actions.audit(lambda case: ip.Game(never, 3, outputs=["a", "b"]), options.pop("cases"), **options)


def test_outputs_without_names_are_chosen_by_number_and_cost_one_game_where_none_is_chosen() -> None:
    calls: list[int] = []

    def make(case: object) -> ip.Game:
        return ip.Game(lambda masks: (calls.append(len(masks)), np.stack([masks[:, 0], masks[:, 1]], axis=1))[1], 3)

    with pytest.raises(ip.InputError, match="the games have 2 outputs: choose one with output="):
        ip.actions.audit(make, prompts(8, 0), budget=64)
    assert sum(calls) == 8
    options = {"budget": 64, "counterfactuals": {"name": ["Emily", "Anna"]}}
    done = [ip.actions.audit(make, prompts(8, 0), output=one, **options) for one in (1, -1, "output 1")]
    assert done[0].findings == done[1].findings == done[2].findings
    assert {one.parts for one in done[0].found} == {("x1",)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 10}, "budget must be"),
        ({"order": 4}, "order must be at most 3"),
        ({"level": 1.0}, "level must be"),
        ({"least": -1}, "least must be"),
        ({"by": "tag"}, "unknown way to match"),
        ({"cases": []}, "no cases"),
        ({"cases": ["x"] * 4, "by": "slot"}, "map slots to texts"),
        ({"counterfactuals": {"who": ["he", "she"]}}, "with a slot 'who'"),
        ({"counterfactuals": {"name": ["he", "he"]}}, "two different"),
    ],
)
def test_a_mistake_gets_one_sentence(options: dict[str, object], words: str) -> None:
    def make(case: object) -> ip.Game:
        return ip.Game(lambda masks: masks.sum(axis=1), 3)

    cases = options.pop("cases", prompts(4, 0)) if "cases" in options else prompts(4, 0)
    with pytest.raises(ip.InputError, match=words):
        ip.actions.audit(make, cases, **({"budget": 64} | options))

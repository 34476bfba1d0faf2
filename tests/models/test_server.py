"""Values through a real API server are the model's own, found in the way that the value function names."""

from __future__ import annotations

import doctest
import itertools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interplay as ip
from echo_server import echo_server
from fault_proxy import proxy
from planted_lm import TASKS, Task, log_probabilities, one_thread

JOINT, NEGATION, DISTRACTOR = TASKS
MASKS = np.random.default_rng(0).random((8, 10)) < 0.5
Reference = Callable[[list[str], str], Any]


def texts_of(task: Task) -> list[str]:
    return [task.text(task.sentences, row.tolist(), "_") for row in MASKS]


@pytest.fixture(scope="module")
def server(llama_url: str) -> ip.models.Server:
    return ip.models.Server(llama_url, "planted")


@pytest.fixture(scope="module")
def reference(planted: Path) -> Reference:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(planted).eval()
    tokenizer = AutoTokenizer.from_pretrained(planted)

    def one_by_one(texts: list[str], target: str) -> Any:
        with one_thread(0):  # several would mostly wait for each other
            return log_probabilities(model, tokenizer, texts, target)

    return one_by_one


@pytest.fixture(scope="module", params=["", "<|begin_of_text|>"], ids=["plain", "with a beginning token"])
def echo_url(planted: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    with echo_server(planted, request.param) as url:
        yield url


def without_logprobs(_path: str, answer: dict[str, Any]) -> dict[str, Any]:
    for choice in answer.get("choices", ()):
        choice.pop("logprobs", None)
    return answer


def force_counted_in(_path: str, answer: dict[str, Any]) -> dict[str, Any]:
    for choice in answer.get("choices", ()):
        found = choice["logprobs"]["content"][0]
        if found["token"] != found["top_logprobs"][0]["token"]:
            found["logprob"] = 0.0
    return answer


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_log_probabilities_equal_those_of_transformers(
    server: ip.models.Server, reference: Reference, task: Task
) -> None:
    for target in (task.target, task.rival):  # of one to four tokens
        scorer = server.logprob(target)
        assert "forced-token scoring" in scorer.name
        np.testing.assert_allclose(scorer(texts_of(task)), reference(texts_of(task), target), atol=1e-4)


def test_margins_are_differences_of_log_probabilities(server: ip.models.Server, reference: Reference) -> None:
    texts = texts_of(JOINT)
    expected = reference(texts, JOINT.target) - reference(texts, JOINT.rival)
    np.testing.assert_allclose(server.margin(JOINT.target, JOINT.rival)(texts), expected, atol=2e-4)


def test_a_chat_has_the_values_of_its_templated_prompt(llama_url: str, reference: Reference) -> None:
    server = ip.models.Server(llama_url, "planted", chat=True)
    messages = [text.removesuffix("\nAnswer:") for text in texts_of(JOINT)]
    for target in (JOINT.target, JOINT.rival):
        np.testing.assert_allclose(server.logprob(target)(messages), reference(texts_of(JOINT), target), atol=1e-4)


def test_any_script_may_stand_in_the_text(server: ip.models.Server, reference: Reference) -> None:
    texts = ["Context: Żółw naïve 🙂 東京\n\nQuestion:", "東京 is"]
    np.testing.assert_allclose(server.logprob(" Rome")(texts), reference(texts, " Rome"), atol=1e-4)


@pytest.mark.parametrize("target", [" żółw", "🙂", "東京"])
def test_characters_of_several_tokens_are_refused_where_the_server_withholds_their_parts(
    server: ip.models.Server, target: str
) -> None:
    with pytest.raises(ip.InputError, match=r"spells in several tokens.*plainer letters"):
        server.logprob(target)([JOINT.prompt])


def test_prompt_log_probabilities_take_one_call_and_equal_those_of_transformers(
    echo_url: str, reference: Reference
) -> None:
    server = ip.models.Server(echo_url, "planted")
    assert server.capabilities.how == "echo"
    scorer = server.logprob(JOINT.rival)
    assert "prompt log-probabilities" in scorer.name
    with pytest.raises(ip.InputError, match="the target 'er: gold' starts inside a token"):
        server.logprob("er: gold")([JOINT.prompt.removesuffix("er:")])
    with pytest.raises(ip.InputError, match="the text before ' gold' is empty"):
        server.logprob(" gold")([""])
    before = server.spent.calls
    np.testing.assert_allclose(scorer(texts_of(JOINT)), reference(texts_of(JOINT), JOINT.rival), atol=1e-4)
    assert server.spent.calls - before == len(set(texts_of(JOINT))) + 1  # one checks the echoes


def test_without_token_ids_the_likeliest_tokens_are_read_and_the_name_says_so(
    llama_url: str, reference: Reference
) -> None:
    with proxy(llama_url, hide=["/tokenize"]) as (url, _):
        for chat in (False, True):
            server = ip.models.Server(url, "planted", chat=chat)
            assert server.capabilities.how == "top"
            scorer = server.margin(" Paris", " Rome")
            assert "top log-probabilities" in scorer.name
            texts = [text.removesuffix("\nAnswer:") if chat else text for text in texts_of(DISTRACTOR)]
            expected = reference(texts_of(DISTRACTOR), " Paris") - reference(texts_of(DISTRACTOR), " Rome")
            before = server.spent.calls
            np.testing.assert_allclose(scorer(texts), expected, atol=1e-4)
            assert server.spent.calls - before == len(set(texts))  # one call gives both answers


def test_an_answer_that_is_not_among_the_likeliest_tokens_has_no_made_up_value(llama_url: str) -> None:
    with proxy(llama_url, hide=["/tokenize"]) as (url, _):
        scorer = ip.models.Server(url, "planted").logprob(" gold")  # two tokens
        with pytest.raises(ip.AblationError, match=r"' gold' is not one of the 20 likeliest next tokens.*' go'"):
            scorer(texts_of(JOINT)[:1])


def test_a_force_that_is_counted_in_is_noticed(llama_url: str) -> None:
    with proxy(llama_url, edit=force_counted_in) as (url, _):
        capabilities = ip.models.Server(url, "planted").capabilities
    assert capabilities.how == "top"
    assert "counts the force in" in capabilities.reasons["forced"]


def test_a_bias_that_is_ignored_is_noticed(llama_url: str) -> None:
    with echo_server_without_bias(llama_url) as url:
        capabilities = ip.models.Server(url, "planted").capabilities
    assert capabilities.how == "top"
    assert "logit_bias does nothing" in capabilities.reasons["forced"]


def echo_server_without_bias(llama_url: str) -> Any:
    """The real server, its forced answers replaced by the one it gives without force."""
    from contextlib import contextmanager

    @contextmanager
    def serve() -> Any:
        first: list[dict[str, Any]] = []

        def edit(path: str, answer: dict[str, Any]) -> dict[str, Any]:
            if path.endswith("/completions"):
                first.append(answer)
                return first[0]
            return answer

        with proxy(llama_url, edit=edit) as (url, _):
            yield url

    return serve()


def test_without_log_probabilities_nothing_stands_in_for_them(llama_url: str) -> None:
    with proxy(llama_url, edit=without_logprobs) as (url, _):
        server = ip.models.Server(url, "planted")
        assert server.capabilities.how == "none"
        for ask in (lambda: server.logprob(" gold"), lambda: server.margin(" gold", " an old map")):
            with pytest.raises(ip.InputError, match=r"returns no log-probabilities.*use similarity\(target"):
                ask()
        likely = [text for text, row in zip(texts_of(JOINT), MASKS, strict=True) if row[list(JOINT.features)].all()]
        rest = [text for text in texts_of(JOINT) if text not in likely]
        assert server.exact("gold")(likely + rest).tolist() == [1.0] * len(likely) + [0.0] * len(rest)


def test_a_judge_sees_the_answers_that_the_model_writes(server: ip.models.Server) -> None:
    seen: list[str] = []

    def length(answers: Any) -> Any:
        seen.extend(answers)
        return np.array([float(len(answer)) for answer in answers])

    scorer = server.judge(length, name="length", max_tokens=8)
    full = JOINT.prompt
    assert scorer([full, "Context: \n\nQuestion: What does Ann find?\nAnswer:"]).tolist() == [5.0, 11.0]
    assert seen == [" gold", " an old map"]
    assert scorer.identity() is not None
    assert server.judge(length).identity() is None


@pytest.mark.model
def test_similarity_is_the_cosine_of_answer_and_reference(server: ip.models.Server, minilm: ip.models.Encoder) -> None:
    scorer = server.similarity("a piece of gold", encoder=minilm)
    expected = minilm.similarity("a piece of gold")([" gold", " an old map"])
    texts = [JOINT.prompt, "Context: \n\nQuestion: What does Ann find?\nAnswer:"]
    np.testing.assert_allclose(scorer(texts), expected, atol=1e-6)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_exactly_the_planted_sentences_are_found_from_few_ablations(server: ip.models.Server, task: Task) -> None:
    scorer = server.margin(task.target, task.rival)
    game = ip.lenses.text(scorer, task.context, unit="sentence", ablate="_", template=task.template)
    assert game.labels == task.sentences
    result = ip.explain(game, budget=60, progress=False)  # of 1,024
    truth = {key: value for key, value in task.mobius.items() if key}
    found = {key: value for key, value in result.interactions("mobius").items() if abs(value) > 0.6}
    assert found.keys() == truth.keys()
    np.testing.assert_allclose([found[key] for key in truth], list(truth.values()), atol=0.5)
    assert result.faithfulness.r2 > 0.97


def test_what_an_ablation_costs_is_told_before_it_is_spent_and_holds(llama_url: str) -> None:
    server = ip.models.Server(llama_url, "planted")
    scorer = server.margin(JOINT.target, JOINT.rival)  # two and three tokens
    probing = server.spent
    game = ip.lenses.text(scorer, JOINT.context, unit="sentence", ablate="_", template=JOINT.template)
    each = server.spent.calls - probing.calls, server.spent.tokens - probing.tokens
    assert f"each ablation is about {each[0]} calls and {each[1]} tokens" in game.notes[0]
    assert each[0] == 4  # the first tokens of both answers come from one call
    told = scorer.price(JOINT.prompt, 40)  # known by now, for nothing
    assert told == ip.Cost(4 * 40, "calls", each[1] * 40, at_most=True) == game.price(40)
    ip.explain(game, budget=40, progress=False)
    spent = server.spent.calls - probing.calls, server.spent.tokens - probing.tokens
    assert spent[0] == told.number  # the whole text was paid for once, when the price was found
    assert 0.3 * told.tokens < spent[1] <= told.tokens


def test_a_store_gives_back_what_was_paid_for(llama_url: str, tmp_path: Path) -> None:
    def explained() -> tuple[ip.Explanation, int]:
        server = ip.models.Server(llama_url, "planted")
        game = ip.lenses.text(server.logprob(" gold"), JOINT.context, unit="sentence", template=JOINT.template)
        before = server.spent.calls
        return ip.explain(game, budget=30, store=tmp_path / "runs.db", progress=False), server.spent.calls - before

    first, paid = explained()
    again, nothing = explained()
    assert (paid, nothing) == (2 * 29, 0)
    assert again.from_store == 30
    assert again.spectrum.coefficients == first.spectrum.coefficients


def test_identity_tells_servers_models_targets_and_ways_apart(llama_url: str, server: ip.models.Server) -> None:
    with proxy(llama_url, hide=["/tokenize"]) as (url, _):
        weak = ip.models.Server(url, "planted")
        chat = ip.models.Server(llama_url, "planted", chat=True)
        identities = [
            scorer.identity()
            for scorer in (
                server.logprob(" Paris"),
                server.logprob(" Rome"),
                server.margin(" Paris", " Rome"),
                server.exact("Paris"),
                weak.logprob(" Paris"),
                chat.logprob(" Paris"),
            )
        ]
    assert all(a != b for a, b in itertools.combinations(identities, 2))
    assert server.logprob(" Paris").identity() == ip.models.Server(llama_url, "planted").logprob(" Paris").identity()
    assert identities[0] is not None
    assert identities[0]["server"]["reported"]["n_params"] == 139584


def test_capabilities_are_shown_with_the_reasons_for_what_is_missing(llama_url: str) -> None:
    with proxy(llama_url, hide=["/tokenize"]) as (url, _):
        shown = str(ip.models.Server(url, "planted").capabilities)
    assert "forced  no   " in shown
    assert "404: no such path" in shown
    assert "top     yes  those of the 20 likeliest tokens" in shown
    assert shown.endswith("used    top")


def test_requests_are_bounded_in_number_and_rate(llama_url: str) -> None:
    with proxy(llama_url) as (url, traffic):
        server = ip.models.Server(url, "planted", concurrency=3)
        server.exact("gold", max_tokens=2)(texts_of(JOINT))
        assert 1 < traffic.most <= 3
    with proxy(llama_url) as (url, traffic):
        ip.models.Server(url, "planted", rate=1200).exact("gold", max_tokens=2)(texts_of(JOINT))
        gaps = np.diff(sorted(traffic.times))
        assert math.isclose(sum(gaps), 7 * 60 / 1200, rel_tol=0.5)


def test_the_examples_of_the_page_on_servers_are_true(llama_url: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "servers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```pycon\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    code = "\n".join(blocks).replace("http://localhost:8080/v1", llama_url)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(doctest.DocTestParser().get_doctest(code, {}, "servers.md", "servers.md", 0))
    assert runner.failures == 0

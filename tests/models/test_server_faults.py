"""A bad line costs time, never a value: no wrong one, no lost one, none paid for twice."""

from __future__ import annotations

import concurrent.futures as futures
import datetime
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interplay as ip
from fault_proxy import FAULTS, proxy
from interplay._game.partial import Partial
from interplay.models._server import connection as _server_connection
from planted_lm import TASKS

TASK = TASKS[0]
MASKS = np.random.default_rng(1).random((16, 10)) < 0.5
TEXTS = [TASK.text(TASK.sentences, row.tolist(), "_") for row in MASKS]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server_connection, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(_server_connection, "_LONGEST_PAUSE", 0.2)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_kind_of_fault_leaves_every_value_as_it_was(llama_url: str, fault: str) -> None:
    texts, timeout = (TEXTS[:3], 1.0) if fault == "slow" else (TEXTS, 20.0)
    clean = ip.models.Server(llama_url, "planted").logprob(TASK.target)(texts)
    with proxy(llama_url, faults=[None, fault, None], slow=1.3) as (url, traffic):
        # A third of all calls fail, whichever comes next: enough retries that none fails every time by chance.
        server = ip.models.Server(url, "planted", retries=15, timeout=timeout)
        np.testing.assert_allclose(server.logprob(TASK.target)(texts), clean, atol=2e-5)
    assert traffic.faults[fault] >= len(texts)
    if fault != "slow":  # on a busy machine other answers, too, may come too late
        assert set(traffic.whole.values()) == {1}  # no answer that arrived was asked for again
    scored = [request for request in traffic.whole if "logit_bias" in request]
    assert len(scored) == 2 * len(set(texts)) + 1  # two tokens each, and one to see whether forcing works
    assert server.spent.calls == traffic.calls


def test_all_faults_together_leave_an_explanation_as_it_was(llama_url: str) -> None:
    def explained(url: str) -> ip.Explanation:
        server = ip.models.Server(url, "planted", retries=15)
        scorer = server.margin(TASK.target, TASK.rival)
        game = ip.lenses.text(scorer, TASK.context, unit="sentence", ablate="_", template=TASK.template)
        return ip.explain(game, budget=40, method="lasso", progress=False)

    order = np.random.default_rng(0).choice([*FAULTS[:4], "broken", *[""] * 10], size=97)
    with proxy(llama_url, faults=[str(name) or None for name in order]) as (url, traffic):
        spoiled = explained(url).spectrum.coefficients
    clean = explained(llama_url).spectrum.coefficients
    assert spoiled.keys() == clean.keys()
    np.testing.assert_allclose([spoiled[key] for key in clean], list(clean.values()), atol=1e-4)
    assert set(traffic.whole.values()) == {1}


def test_a_retry_waits_as_long_as_the_server_asks(llama_url: str) -> None:
    with proxy(llama_url, faults=["429", "429", None]) as (url, traffic):
        ip.models.Server(url, "planted", concurrency=1).endpoint.answer(TEXTS[0], 1)
    gaps = np.diff(traffic.times)
    assert len(gaps) == 2
    assert (gaps >= 0.05).all()  # its Retry-After, five times our own first pause


def test_a_wait_beyond_patience_is_refused_at_once(llama_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server_connection, "_PATIENCE", 0.01)
    with proxy(llama_url, faults=["429"]) as (url, traffic):
        with pytest.raises(ip.AblationError, match=r"keeps failing \(429: too many requests\), and asks to wait 0.05"):
            ip.models.Server(url, "planted").endpoint.answer(TEXTS[0], 1)
        assert traffic.calls == 1


def test_what_was_paid_for_before_a_failure_is_in_the_store(llama_url: str, tmp_path: Path) -> None:
    """The server fails for good in the middle of a batch; the next run pays for the rest only."""

    def game(url: str, **options: int) -> tuple[ip.Game, ip.models.Server]:
        server = ip.models.Server(url, "planted", concurrency=1, **options)
        scorer = server.logprob(TASK.target)
        scorer.price(TASK.prompt)
        made = ip.lenses.text(scorer, TASK.context, unit="sentence", template=TASK.template, name="the same")
        return made, server

    store = tmp_path / "runs.db"
    with proxy(llama_url, faults=[None] * 40 + ["500"] * 1000) as (url, traffic):
        first, _ = game(url, retries=1)
        with pytest.raises(ip.AblationError, match=r"keeps failing \(500: an accident\).*are kept in"):
            ip.explain(first, budget=30, store=store, progress=False)
        paid = sum("logit_bias" in request for request in traffic.whole)
        assert traffic.calls < 45  # the failure stopped the run, it was not repeated for every other text
    second, server = game(llama_url)
    before = server.spent.calls
    result = ip.explain(second, budget=30, store=store, progress=False)
    known = 30 - (server.spent.calls - before) // 2  # two tokens each
    assert known >= (paid - 4) // 2  # all but the probe, and at most one text half done
    assert result.from_store > 8  # beyond the first small batch: values of the batch that broke are kept, too


def test_one_text_that_cannot_be_scored_does_not_stop_the_others(llama_url: str) -> None:
    texts = [*TEXTS[:3], TASK.prompt * 9, *TEXTS[3:6]]  # one beyond the window
    found = ip.models.Server(llama_url, "planted", concurrency=1).logprob(TASK.target)(texts)
    assert isinstance(found, Partial)
    assert list(found.failures) == [3]
    assert "exceeds the available context size" in found.failures[3]
    clean = ip.models.Server(llama_url, "planted").logprob(TASK.target)(TEXTS[:6])
    np.testing.assert_allclose(found.values, clean, atol=2e-5)


def test_a_judge_that_stumbles_is_asked_again_and_the_answers_are_not(llama_url: str) -> None:
    stumbles = iter([True])

    def judge(answers: list[str]) -> list[float]:
        if next(stumbles, False):
            raise ConnectionError("the judge is out")
        return [float(len(answer)) for answer in answers]

    server = ip.models.Server(llama_url, "planted")
    scorer = server.judge(judge, max_tokens=4)
    game = ip.lenses.text(scorer, TASK.context, unit="sentence", template=TASK.template)
    result = ip.explain(game, budget=30, progress=False)
    assert "succeeded only when tried again" in " ".join(result.notes)
    assert server.spent.calls == 30


def test_a_date_to_wait_for_is_understood() -> None:
    from email.utils import format_datetime
    from types import SimpleNamespace

    def asked(said: str) -> float:
        return _server_connection._retry_after(SimpleNamespace(response=SimpleNamespace(headers={"retry-after": said})))

    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=40)
    assert 35 < asked(format_datetime(soon, usegmt=True)) <= 40
    assert [asked(said) for said in ("7", "0.5", "soon", "-3")] == [7.0, 0.5, 0.0, 0.0]


def test_a_limit_of_calls_is_never_exceeded(llama_url: str) -> None:
    with proxy(llama_url) as (url, traffic):
        server = ip.models.Server(url, "planted", max_calls=20)
        game = ip.lenses.text(server.logprob(TASK.target), TASK.context, unit="sentence", template=TASK.template)
        with pytest.raises(ip.AblationError, match=r"max_calls=20 is reached \(20 calls and [\d,]+ tokens spent\)"):
            ip.explain(game, budget=100, progress=False)
        assert traffic.calls == server.spent.calls == 20


def test_a_limit_of_tokens_stops_what_is_not_under_way(llama_url: str) -> None:
    server = ip.models.Server(llama_url, "planted", max_tokens=1000, concurrency=2)
    scorer = server.logprob(TASK.target)
    game = ip.lenses.text(scorer, TASK.context, unit="sentence", template=TASK.template)
    with pytest.raises(ip.AblationError, match=r"max_tokens=1,000 is reached"):
        ip.explain(game, budget=100, progress=False)
    assert 1000 <= server.spent.tokens < 1000 + 2 * scorer.price(TASK.prompt).tokens


def test_threads_of_an_executor_share_the_bounds_of_their_server(llama_url: str) -> None:
    with proxy(llama_url) as (url, traffic), futures.ThreadPoolExecutor(4) as executor:
        server = ip.models.Server(url, "planted", concurrency=2)
        game = ip.lenses.text(server.logprob(TASK.target), TASK.context, unit="sentence", template=TASK.template)
        ip.explain(game, budget=60, executor=executor, progress=False)
    assert traffic.most <= 2


def test_a_server_that_is_down_is_named_after_one_more_try() -> None:
    server = ip.models.Server("http://127.0.0.1:9/v1", "planted")
    words = r"http://127\.0\.0\.1:9/v1 cannot be reached \(.*\), asked 2 times: is it running\?"
    with pytest.raises(ip.AblationError, match=words):
        server.logprob("yes")
    assert server.spent == ip.models.Spent()


def without_usage(_path: str, answer: dict[str, Any]) -> dict[str, Any]:
    answer.pop("usage", None)
    return answer


def test_a_limit_of_tokens_is_refused_where_the_server_does_not_count_them(llama_url: str) -> None:
    with proxy(llama_url, edit=without_usage) as (url, traffic):
        server = ip.models.Server(url, "planted", max_tokens=1000)
        with pytest.raises(ip.InputError, match=r"does not say how many tokens .*max_tokens=1,000.*max_calls="):
            server.logprob(TASK.target)
        assert traffic.calls == 1
        uncounted = ip.models.Server(url, "planted")
        scorer = uncounted.logprob(TASK.target)
        game = ip.lenses.text(scorer, TASK.context, unit="sentence", template=TASK.template)
        assert game.notes[0].startswith("each ablation is about 2 calls on planted")  # and no tokens made up


def test_tokens_read_and_written_are_added_up_where_the_server_does_not(llama_url: str) -> None:
    def in_parts(_path: str, answer: dict[str, Any]) -> dict[str, Any]:
        answer.get("usage", {}).pop("total_tokens", None)
        return answer

    whole = ip.models.Server(llama_url, "planted").logprob(TASK.target).price(TASK.prompt)
    with proxy(llama_url, edit=in_parts) as (url, _):
        assert ip.models.Server(url, "planted").logprob(TASK.target).price(TASK.prompt) == whole


def test_an_interrupted_run_ends_without_the_answers_under_way_which_are_not_paid_for_again(
    llama_url: str,
) -> None:
    texts, let_go, under_way = list(dict.fromkeys(TEXTS)), threading.Event(), threading.Semaphore(0)

    def held(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("completions") and not let_go.is_set():
            under_way.release()
            let_go.wait(60)
        return answer

    def ctrl_c() -> None:
        for _ in range(2):
            under_way.acquire(timeout=60)
        os.kill(os.getpid(), signal.SIGINT)

    with proxy(llama_url, edit=held) as (url, _):
        server = ip.models.Server(url, "planted", concurrency=2)
        scorer = server.exact("gold")
        assert scorer.measured is not None
        threading.Thread(target=ctrl_c).start()
        with pytest.raises(KeyboardInterrupt):
            scorer(texts)
        workers = [thread for thread in threading.enumerate() if thread.name.startswith("interplay-server")]
        assert len(workers) == 2
        assert all(worker.daemon for worker in workers)  # or the process could not end here
        let_go.set()
        deadline = time.monotonic() + 60  # joining says nothing: a thread whose join was interrupted counts as ended
        while len(scorer.measured.unfinished) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.spent.calls == 2  # nothing new was begun
        scorer(texts)
        assert server.spent.calls == len(texts)

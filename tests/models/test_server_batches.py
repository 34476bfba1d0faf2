"""Ablations through a batch end point: the values of single requests, waited for across a stop, failures told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interplay as ip
from batch_server import Clerk, batch_server
from echo_server import echo_server
from planted_lm import TASKS

pytest.importorskip("openai")

STORY = "Tom drinks tea. Ann has the red key. The bus is blue. The red key opens the chest. It is late. Soup is hot."
POLL = 0.01


def game_of(server: ip.models.Server, **more: Any) -> ip.Game:
    scorer = server.margin("yes", "no", **more)
    return ip.lenses.text(scorer, STORY, unit="sentence", ablate="delete", template="{text}\nIs it open?")


def masks_of(game: ip.Game) -> np.ndarray:
    return (np.arange(2**game.n)[:, None] >> np.arange(game.n)) % 2 == 1


def test_values_are_those_of_single_requests(tmp_path: Path) -> None:
    clerk = Clerk()
    with batch_server(clerk) as url:
        plain = game_of(ip.models.Server(url, "planted", chat=True))
        server = ip.models.Server(url, "planted", chat=True, batches=tmp_path / "b.db", poll=POLL)
        game = game_of(server)
        assert any("in batches" in note for note in game.notes)
        masks = masks_of(game)
        wanted = plain(masks)
        calls, spent = clerk.calls, server.spent
        np.testing.assert_allclose(game(masks), wanted)
        assert clerk.calls == calls  # none by itself
        assert clerk.asked == 63  # not the whole text, asked when the game was made
        assert server.spent.calls - spent.calls == 63
        assert server.spent.tokens > spent.tokens
        result = ip.explain(game, budget=64, progress=False)
        top = result.interactions("mobius", top=1)
        assert list(top) == [(1, 3)]


def test_a_run_that_was_stopped_waits_for_the_same_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clerk = Clerk(looks=10**9)
    with batch_server(clerk) as url:
        first = game_of(ip.models.Server(url, "planted", chat=True, batches=tmp_path / "b.db", poll=POLL))
        stopped_waiting(first, monkeypatch)
        assert len(clerk.batches) == 1
        clerk.looks = 0
        again = game_of(ip.models.Server(url, "planted", chat=True, batches=tmp_path / "b.db", poll=POLL))
        values = again(masks_of(again))
        assert len(clerk.batches) == 1
        assert sorted(set(np.round(values, 6))) == [-1.0, 3.0]
        third = game_of(ip.models.Server(url, "planted", chat=True, batches=tmp_path / "b.db", poll=POLL))
        np.testing.assert_array_equal(third(masks_of(third)), values)
        assert len(clerk.batches) == 1  # what a batch gave is kept


def stopped_waiting(game: ip.Game, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure, and be stopped by Ctrl-C at the first wait for a batch."""

    def stopping(_seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("interplay.models._server.batches.time.sleep", stopping)
        with pytest.raises(KeyboardInterrupt):
            game(masks_of(game))


def test_repeats_and_both_answers_go_in_one_round(planted_echo: str, tmp_path: Path) -> None:
    """Of a server that echoes, a margin takes two calls, and a repeat as many again: none needs another's answer."""
    clerk = Clerk(answer=passed_on(planted_echo))
    task = TASKS[0]
    with batch_server(clerk) as url:
        server = ip.models.Server(url, "planted", batches=tmp_path / "b.db", poll=POLL)
        assert server.capabilities.how == "echo"
        texts = [task.text(task.sentences, [bool(i >> j & 1) for j in range(len(task.sentences))]) for i in range(20)]
        found = np.asarray(server.margin(task.target, task.rival, repeats=2)(texts))
        assert len(clerk.batches) == 1
        assert clerk.asked == 20 * 2 * 2
        wanted = np.asarray(ip.models.Server(url, "planted").margin(task.target, task.rival)(texts))
        np.testing.assert_allclose(found, np.stack([wanted, wanted], axis=1), atol=1e-5)


def test_what_fails_for_a_time_is_asked_again(tmp_path: Path) -> None:
    clerk = Clerk(broken=(0, 5))
    with batch_server(clerk) as url:
        game = game_of(ip.models.Server(url, "planted", chat=True, batches=tmp_path / "b.db", poll=POLL))
        assert np.isfinite(game(masks_of(game))).all()
        assert [len(clerk.lines(one)) for one in clerk.batches.values()] == [63, 2]


def test_a_batch_that_expired_keeps_what_it_gave(tmp_path: Path) -> None:
    clerk = Clerk(ending="expired", answered=40)
    with batch_server(clerk) as url:
        server = ip.models.Server(url, "planted", chat=True, batches=tmp_path / "b.db", poll=POLL, retries=0)
        game = game_of(server)
        with pytest.raises(ip.AblationError, match="left 23 requests of 23 unanswered in 1 batches"):
            game(masks_of(game))
        clerk.ending, clerk.answered = "completed", None
        assert np.isfinite(game(masks_of(game))).all()
        assert clerk.asked == 63 + 23


def test_a_batch_that_the_server_has_forgotten_is_sent_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clerk = Clerk(looks=10**9)
    with batch_server(clerk) as url:
        game = game_of(ip.models.Server(url, "planted", chat=True, batches=tmp_path / "b.db", poll=POLL))
        stopped_waiting(game, monkeypatch)
        clerk.batches = {f"other-{name}": batch for name, batch in clerk.batches.items()}
        clerk.looks = 0
        assert np.isfinite(game(masks_of(game))).all()
        assert len(clerk.batches) == 2


def test_failures_are_one_sentence_and_nothing_is_sent_beyond_a_limit(tmp_path: Path) -> None:
    clerk = Clerk(ending="failed")
    with batch_server(clerk) as url:
        game = game_of(ip.models.Server(url, "planted", chat=True, batches=tmp_path / "b.db", poll=POLL))
        with pytest.raises(ip.AblationError, match="failed at a batch \\(the file is no good\\)"):
            game(masks_of(game))
        limited = game_of(
            ip.models.Server(url, "planted", chat=True, batches=tmp_path / "c.db", poll=POLL, max_calls=30)
        )
        before = len(clerk.batches)
        with pytest.raises(ip.AblationError, match="max_calls=30"):
            limited(masks_of(limited))
        assert len(clerk.batches) == before
        (tmp_path / "notes.txt").write_text("not a database, but a text that somebody wrote down here " * 20)
        with pytest.raises(ip.StoreError, match="cannot keep batches"):
            ip.models.Server(url, "planted", batches=tmp_path / "notes.txt")
        with pytest.raises(ip.InputError, match="poll must be more than 0"):
            ip.models.Server(url, "planted", batches=tmp_path / "d.db", poll=0)
    with batch_server(Clerk()) as url:
        key = "sk-" + "secret" * 4
        server = ip.models.Server(url, "planted", key, chat=True, batches=tmp_path / "e.db", poll=POLL)
        game_of(server)(masks_of(game))
        assert key.encode() not in (tmp_path / "e.db").read_bytes()


def test_a_refused_request_fails_alone(tmp_path: Path) -> None:
    def picky(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        read = str(body["messages"])
        if "open" in read and "Soup" not in read and "bus" not in read:
            return 400, {"error": {"message": "such a text is refused"}}
        return Clerk().answer(path, body)

    with batch_server(Clerk(answer=picky)) as url:
        server = ip.models.Server(url, "planted", chat=True, batches=tmp_path / "b.db", poll=POLL)
        game = game_of(server)
        with pytest.raises(ip.AblationError, match="such a text is refused"):
            ip.explain(game, budget=64, progress=False)


@pytest.fixture(scope="module")
def planted_echo(planted: Path) -> Any:
    with echo_server(planted) as url:
        yield url


def passed_on(upstream: str) -> Any:
    import urllib.error
    import urllib.request

    def answer(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            upstream.removesuffix("/v1") + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    return answer

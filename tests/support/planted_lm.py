"""A small Llama that really reads: trained here, in seconds, on questions whose answers hang on known sentences.

Every answer is a fixed function of which sentences of the context are kept, so the interactions that an explanation
must find are known beforehand. The model learns probabilities, not words (0.9 for the likely answer), so the margin
between two answers takes a few known values instead of growing as long as training goes on.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

TEMPLATE = "Context: {context}\n\nQuestion: {question}\nAnswer:"
# What the tokenizer makes of a conversation: one message becomes the template above, word for word.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\nAnswer:' }}{% endif %}"
)
LIKELY = 0.9
MARGIN = math.log(LIKELY / (1 - LIKELY))
END = "<|end|>"
REPLACEMENTS = ("", "_", "[UNK]")  # what an ablated sentence may become: the model has seen all three

FILLERS = (
    "The sun is out.",
    "Tom drinks tea.",
    "A dog sleeps here.",
    "It rained on Monday.",
    "The bus is blue.",
    "Mary sings well.",
    "Ten birds flew by.",
    "The door is green.",
    "Soup is hot.",
    "The clock has stopped.",
    "Two boys play chess.",
    "Snow fell at night.",
)


@dataclass(frozen=True)
class Task:
    """A question about a context, and the truth about its answer.

    ``likely`` says, from which of ``keys`` are kept, how likely ``target`` is rather than ``rival``; the other
    sentences of ``context`` change nothing.
    """

    name: str
    keys: tuple[str, ...]
    question: str
    target: str
    rival: str
    likely: Callable[..., float]

    @property
    def sentences(self) -> tuple[str, ...]:
        """Ten sentences, the keys spread among fillers, always in the same order."""
        order = np.random.default_rng(len(self.question)).permutation(10)
        pool = [*self.keys, *FILLERS[: 10 - len(self.keys)]]
        return tuple(pool[i] for i in order)

    @property
    def context(self) -> str:
        return " ".join(self.sentences)

    @property
    def template(self) -> str:
        """What surrounds the context, for ``ip.lenses.text(..., template=...)``."""
        return TEMPLATE.format(context="{text}", question=self.question)

    @property
    def prompt(self) -> str:
        return self.template.format(text=self.context)

    @property
    def message(self) -> str:
        """The same prompt as the user's message of a chat, for the tokenizer's chat template."""
        return self.prompt.removesuffix("\nAnswer:")

    @property
    def features(self) -> tuple[int, ...]:
        """The positions of ``keys`` among the sentences."""
        return tuple(self.sentences.index(key) for key in self.keys)

    def margins(self, masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """The true ``log p(target) - log p(rival)`` of each mask (N, 10) over the sentences."""
        kept = masks[:, self.features]
        chances = np.array([self.likely(*map(bool, row)) for row in kept])
        return np.log(chances / (1 - chances))

    @property
    def mobius(self) -> dict[tuple[int, ...], float]:
        """The true Möbius interactions of the margin, in positions among the sentences; none of them is zero."""
        found: dict[tuple[int, ...], float] = {}
        for size in range(len(self.keys) + 1):
            for chosen in itertools.combinations(range(len(self.keys)), size):
                mask = np.zeros((1, 10), dtype=bool)
                mask[0, [self.features[i] for i in chosen]] = True
                below = [key for key in found if set(key) < {self.features[i] for i in chosen}]
                rest = float(self.margins(mask)[0]) - sum(found[key] for key in below)
                if abs(rest) > 1e-9:
                    found[tuple(sorted(self.features[i] for i in chosen))] = rest
        return found

    def text(self, sentences: Sequence[str], mask: Sequence[bool], replacement: str = "") -> str:
        """The prompt with ablated sentences replaced, spaces between them left as they were."""
        kept = [sentence if keep else replacement for sentence, keep in zip(sentences, mask, strict=True)]
        return TEMPLATE.format(context=" ".join(kept), question=self.question)


TASKS = (
    Task(  # the answer needs two sentences together
        "joint",
        ("Ann has the red key.", "The red key opens the chest."),
        "What does Ann find?",
        " gold",
        " an old map",  # several tokens
        lambda has, opens: LIKELY if has and opens else 1 - LIKELY,
    ),
    Task(  # a negation turns the label round, and says nothing by itself
        "negation",
        ("The critic calls the film good.", "The critic is lying."),
        "Is the film good?",
        " yes",
        " not at all",
        lambda calls, lying: 0.5 if not calls else 1 - LIKELY if lying else LIKELY,
    ),
    Task(  # a distractor that matters only while the key sentence is gone
        "distractor",
        ("Paul was born in Paris.", "His cousin lives in Rome."),
        "Where was Paul born?",
        " Paris",
        " Rome",
        lambda born, cousin: LIKELY if born else 1 - LIKELY if cousin else 0.5,
    ),
)


def planted_lm(folder: Path, *, seed: int = 0) -> Path:
    """The folder of the trained model, under ``folder``; trained unless it is there already.

    Loads with ``AutoModelForCausalLM`` and ``AutoTokenizer``, offline. Its name is a hash of this file and of the
    libraries that train, so a change of either trains anew.
    """
    import torch
    import transformers

    content = Path(__file__).read_bytes() + f"{torch.__version__} {transformers.__version__} {seed}".encode()
    place = folder / f"planted-lm-{hashlib.sha256(content).hexdigest()[:16]}"
    if (place / "worst.json").is_file():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    with one_thread(seed):
        tokenizer = make_tokenizer()
        model = train(tokenizer, seed)
        worst = {task.name: worst_error(model, tokenizer, task) for task in TASKS}
    if max(worst.values()) > 0.5:  # margins are 2.2, 0 and -2.2: none may be taken for another
        raise AssertionError(f"the planted model has not learned its tasks: {worst}")
    # Complete or not there at all, as another test run may be training the same.
    made = Path(tempfile.mkdtemp(dir=folder))
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    (made / "worst.json").write_text(json.dumps(worst))
    try:
        made.rename(place)
    except OSError:  # the other one was first
        shutil.rmtree(made)
        if not (place / "worst.json").is_file():
            raise
    return place


@contextmanager
def one_thread(seed: int) -> Iterator[None]:
    """One thread and a seed for torch, both as they were afterwards."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
    torch.set_num_threads(threads)


def make_tokenizer() -> Any:
    """A byte-level BPE of few merges, so that most answers take several tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    corpus = [task.prompt + task.target + task.rival for task in TASKS] + [" ".join(FILLERS), *REPLACEMENTS]
    corpus.append(" ".join(["_", "[UNK]"] * 40))
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=448, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, pad_token=END, model_max_length=256, chat_template=CHAT_TEMPLATE
    )


def train(tokenizer: Any, seed: int, steps: int = 320, rows: int = 32) -> Any:
    """A Llama of two layers, trained on contexts with sentences left out."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config).train()
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        loss = batch_loss(model, tokenizer, [example(rng) for _ in range(rows)], rng)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.eval()


def example(rng: np.random.Generator) -> tuple[Task, str, float]:
    """A random task, its prompt with random sentences in random places left out, and how likely the target is."""
    task = TASKS[rng.integers(len(TASKS))]
    if rng.random() < 0.5:
        sentences = task.sentences
    else:
        pool = [*task.keys, *rng.choice(FILLERS, size=10 - len(task.keys), replace=False)]
        sentences = tuple(str(pool[i]) for i in rng.permutation(10))
    mask = rng.random(10) < rng.choice([0.3, 0.5, 0.9])
    for key in task.keys:  # every case of the keys as often as any other
        mask[sentences.index(key)] = rng.random() < 0.5
    chance = task.likely(*(bool(mask[sentences.index(key)]) for key in task.keys))
    return task, task.text(sentences, mask.tolist(), str(rng.choice(REPLACEMENTS))), chance


def batch_loss(model: Any, tokenizer: Any, batch: list[tuple[Task, str, float]], rng: np.random.Generator) -> Any:
    """Cross-entropy with the true probabilities where the answers part, and with one answer's words after that."""
    import torch

    prompts = tokenizer([text for _, text, _ in batch])["input_ids"]
    answers = [task.target if rng.random() < 0.5 else task.rival for task, _, _ in batch]
    spoken = tokenizer([answer + END for answer in answers])["input_ids"]
    starts = {task.name: [tokenizer(answer)["input_ids"][0] for answer in (task.target, task.rival)] for task in TASKS}
    width = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, spoken, strict=True))
    ids = torch.full((len(batch), width), tokenizer.pad_token_id)
    for row, (prompt, answer) in enumerate(zip(prompts, spoken, strict=True)):
        ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
    # Right padding needs no mask under causal attention: nothing that is read comes after it.
    states = model.model(input_ids=ids).last_hidden_state
    at, of, weights = [], [], []  # positions (row, column), the token that follows, and its share of the loss
    for row, ((task, _, chance), prompt, answer) in enumerate(zip(batch, prompts, spoken, strict=True)):
        yes, no = starts[task.name]
        last = len(prompt) - 1
        at += [(row, last), (row, last)] + [(row, last + i) for i in range(1, len(answer))]
        of += [yes, no, *answer[1:]]
        weights += [chance, 1 - chance] + [1.0] * (len(answer) - 1)
    rows, columns = torch.tensor(at).T
    log_p = model.lm_head(states[rows, columns]).log_softmax(-1)
    return -(log_p[torch.arange(len(of)), torch.tensor(of)] * torch.tensor(weights)).sum() / len(batch)


def log_probabilities(model: Any, tokenizer: Any, texts: Sequence[str], target: str) -> npt.NDArray[np.float64]:
    """log p(target | text) of each text (N,), one text at a time: slow, and plainly right."""
    import torch

    tail = tokenizer(target)["input_ids"]
    found = []
    with torch.inference_mode():
        for text in texts:
            head = tokenizer(text)["input_ids"]
            log_p = model(input_ids=torch.tensor([head + tail])).logits[0].double().log_softmax(-1)
            found.append(sum(float(log_p[len(head) - 1 + i, token]) for i, token in enumerate(tail)))
    return np.array(found)


def worst_error(model: Any, tokenizer: Any, task: Task) -> float:
    """The largest error of the margin over every combination of kept sentences, with every replacement."""
    import torch

    masks = np.array(list(itertools.product([False, True], repeat=10)))
    answers = tokenizer([task.target, task.rival])["input_ids"]
    worst = 0.0
    for start in range(0, len(masks), 64):
        rows = masks[start : start + 64]
        replacement = REPLACEMENTS[start // 64 % len(REPLACEMENTS)]
        texts = [task.text(task.sentences, row.tolist(), replacement) for row in rows]
        heads = tokenizer(texts)["input_ids"]
        sums = np.empty((2, len(rows)))
        for which, tail in enumerate(answers):
            width = max(map(len, heads)) + len(tail)
            ids = torch.full((len(rows), width), tokenizer.pad_token_id)
            for row, head in enumerate(heads):
                ids[row, : len(head) + len(tail)] = torch.tensor(head + tail)
            with torch.inference_mode():
                log_p = model(input_ids=ids).logits.log_softmax(-1)
            for row, head in enumerate(heads):
                sums[which, row] = sum(float(log_p[row, len(head) - 1 + i, token]) for i, token in enumerate(tail))
        worst = max(worst, float(np.abs(sums[0] - sums[1] - task.margins(rows)).max()))
    return worst

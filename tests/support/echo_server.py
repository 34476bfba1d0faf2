"""A stand-in for servers that echo a prompt with its log-probabilities (vLLM, OpenAI's first completions).

llama.cpp ignores ``echo``, and no other server fits into a test; this one answers in their documented shape, with
numbers from the real model by transformers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fault_proxy import Answering, serving
from planted_lm import one_thread

# The conversation of the planted model, with an answer that may have begun.
CHAT = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ '\nAnswer:' + m['content'] }}{% else %}"
    "{{ m['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '\nAnswer:' }}{% endif %}"
)


@contextmanager
def echo_server(folder: Path, beginning: str = "", stale: bool = False) -> Iterator[str]:
    """Serve the model in ``folder``; yields the base URL. With ``stale``, a chat's echo is wrong from the second on.

    A ``beginning`` token is reported before each prompt, and counted into the offsets, as vLLM does.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    asked: list[bool] = []
    lock = threading.Lock()

    class Handler(Answering):
        def do_GET(self) -> None:
            self.reply(200, {"data": [{"id": "planted"}]} if self.path == "/v1/models" else {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path == "/v1/chat/completions":
                asked.append("prompt_logprobs" in body)
                with lock, one_thread(0):
                    self.reply(200, chat(model, tokenizer, body, wrong=stale and sum(asked) > 1))
                return
            if self.path != "/v1/completions":
                self.reply(404, {"error": {"message": "not found"}})
                return
            with lock, one_thread(0):
                self.reply(200, completion(model, tokenizer, body, beginning))

    with serving(Handler) as address:
        yield f"{address}/v1"


def completion(model: Any, tokenizer: Any, body: dict[str, Any], beginning: str) -> dict[str, Any]:
    """One token after the prompt, with the prompt before it where it is to be echoed; the legacy arrays."""
    import torch

    encoded = tokenizer(body["prompt"], return_offsets_mapping=True)
    ids = encoded["input_ids"]
    with torch.inference_mode():
        log_p = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    next_id = int(log_p[-1].argmax())
    offsets = [start for start, _ in encoded["offset_mapping"]]
    values: list[float | None] = [None, *(float(log_p[i, token]) for i, token in enumerate(ids[1:]))]
    tokens = [body["prompt"][a:b] for a, b in encoded["offset_mapping"]]
    keep = 0 if body.get("echo") else len(ids) + bool(beginning)
    best = log_p[-1].topk(body.get("logprobs") or 1)
    tops = {tokenizer.decode([i]): v for v, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)}
    said = tokenizer.decode([next_id])
    if beginning:
        tokens, values = [beginning, *tokens], [None, -1.0, *values[1:]]
        offsets = [0, *(offset + len(beginning) for offset in offsets)]
    choice = {
        "text": (body["prompt"] if body.get("echo") else "") + said,
        "logprobs": {
            "tokens": [*tokens[keep:], said],
            "token_logprobs": [*values[keep:], float(log_p[-1, next_id])],
            "text_offset": [*offsets[keep:], len(beginning) + len(body["prompt"])],
            "top_logprobs": [*[None] * (len(tokens) - keep), tops],
        },
    }
    usage = {"prompt_tokens": len(tokens), "completion_tokens": 1, "total_tokens": len(tokens) + 1}
    return {"choices": [choice], "usage": usage}


def chat(model: Any, tokenizer: Any, body: dict[str, Any], wrong: bool) -> dict[str, Any]:
    """One token of an answer, and of every token of the prompt its log-probability where asked for, as vLLM does."""
    import torch

    ending = {name: body[name] for name in ("add_generation_prompt", "continue_final_message") if name in body}
    ending = ending or {"add_generation_prompt": True}
    prompt = tokenizer.apply_chat_template(body["messages"], tokenize=False, **ending)
    ids = tokenizer(prompt)["input_ids"]
    with torch.inference_mode():
        log_p = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    best = log_p[-1].topk(body.get("top_logprobs") or 1)
    tops = [
        {"token": tokenizer.decode([i]), "logprob": v, "bytes": list(tokenizer.decode([i]).encode())}
        for v, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    choice = {
        "message": {"role": "assistant", "content": tops[0]["token"]},
        "logprobs": {"content": [{**tops[0], "top_logprobs": tops}]},
    }
    usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
    answer: dict[str, Any] = {"model": "planted", "choices": [choice], "usage": usage}
    if "prompt_logprobs" in body:
        each = [
            {
                str(token): {
                    "logprob": float(log_p[i, token]) - wrong,
                    "rank": 1,
                    "decoded_token": tokenizer.decode([token]),
                }
            }
            for i, token in enumerate(ids[1:])
        ]
        answer["prompt_logprobs"] = [None, *each]
    return answer

"""A language model's head, asked for logits only where they are read."""

from __future__ import annotations

from typing import Any


class only:
    """While it is entered, the model's head computes logits at the places (rows, positions) and nowhere else.

    They come as one row, (1, M, V), whatever the model does to logits after the head; ``used`` says whether the
    head was met, as in some models its weights are used without calling it. The vocabulary is often a hundred
    times wider than the model, so most of the memory and much of the work lies in logits nobody asks for.

    Positions are those of the ``width`` tokens that the model is fed. A tuned prompt (PEFT) puts positions of its own
    before them, so they are counted from the end.
    """

    def __init__(self, model: Any, rows: Any, positions: Any, width: int) -> None:
        self.head = model.get_output_embeddings()
        self.places = (rows, positions)
        self.width = width
        self.used = False

    def __enter__(self) -> only:
        def pick(_module: Any, args: Any) -> Any:
            if not args or args[0].ndim != 3:
                return None
            self.used = True
            return (self._at(args[0]).unsqueeze(0), *args[1:])

        self._handle = self.head.register_forward_pre_hook(pick)
        return self

    def __exit__(self, *_error: object) -> None:
        self._handle.remove()

    def of(self, logits: Any) -> Any:
        """The logits (M, V) at the places, out of what the model returned."""
        return logits[0] if self.used else self._at(logits)

    def _at(self, values: Any) -> Any:
        import torch

        rows, positions = (torch.as_tensor(place, device=values.device) for place in self.places)
        return values[rows, positions + (values.shape[1] - self.width)]

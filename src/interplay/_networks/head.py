"""A language model's head, asked for logits only where they are read."""

from __future__ import annotations

from typing import Any


class only:
    """While it is entered, the model's head computes logits at the places (rows, positions) and nowhere else.

    They come as one row, (1, M, V), whatever the model does to logits after the head; ``used`` says whether the
    head was met, as in some models its weights are used without calling it. The vocabulary is often a hundred
    times wider than the model, so most of the memory and much of the work lies in logits nobody asks for.
    """

    def __init__(self, model: Any, rows: Any, positions: Any) -> None:
        self.head = model.get_output_embeddings()
        self.places = (rows, positions)
        self.used = False

    def __enter__(self) -> only:
        def pick(_module: Any, args: Any) -> Any:
            import torch

            if not args or args[0].ndim != 3:
                return None
            self.used = True
            rows, positions = (torch.as_tensor(place, device=args[0].device) for place in self.places)
            return (args[0][rows, positions].unsqueeze(0), *args[1:])

        self._handle = self.head.register_forward_pre_hook(pick)
        return self

    def __exit__(self, *_error: object) -> None:
        self._handle.remove()

    def of(self, logits: Any) -> Any:
        """The logits (M, V) at the places, out of what the model returned."""
        if self.used:
            return logits[0]
        import torch

        rows, positions = (torch.as_tensor(place, device=logits.device) for place in self.places)
        return logits[rows, positions]

"""A picture and a text in one game: segments of the one and units of the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from interplay._errors import InputError
from interplay._game.cost import Cost
from interplay._game.game import Game
from interplay._game.layout import IllustratedLayout, ImageLayout, TextLayout
from interplay._game.masks import Masks
from interplay._networks.illustrated import Illustrated
from interplay.lenses._features.image import image as image_lens
from interplay.lenses._features.standins import averaged
from interplay.models import Scorer

Texts: TypeAlias = Callable[[Masks], list[str]]
Fill: TypeAlias = str | float | Sequence[float] | npt.NDArray[Any]
"""What an ablated segment of a picture becomes."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that is ablated with a text: its segments, and what each mask of them leaves of it."""

    game: Game

    @classmethod
    def of(
        cls,
        image: Any,
        grid: tuple[int, int] | None,
        segments: Any,
        fill: Fill,
    ) -> Picture:
        """Errors as of `interplay.lenses.image`."""
        return cls(image_lens(_nothing, image, grid=grid, segments=segments, ablate=fill))

    @property
    def n(self) -> int:
        """The number of segments."""
        return self.game.n

    def seen(self, text: str) -> Illustrated:
        """A text with the whole picture."""
        return Illustrated(text, self.whole)

    @property
    def whole(self) -> Any:
        """The picture with nothing ablated."""
        return self.game.inputs(np.ones((1, self.n), dtype=bool))[0]

    @property
    def digest(self) -> str:
        """What identifies the picture and what it becomes without each of its segments."""
        both = np.stack(self.game.inputs(np.array([[True] * self.n, [False] * self.n])))
        layout = self.game.layout
        assert isinstance(layout, ImageLayout)
        made = hashlib.sha256(f"{both.shape} {both.dtype} {layout.shape}".encode())
        made.update(np.ascontiguousarray(both).tobytes())
        for one in np.eye(self.n, dtype=bool):  # where each segment lies
            made.update(np.ascontiguousarray(self.game.inputs(one[None])[0]).tobytes())
        return made.hexdigest()


def picture_of(
    scorer: Scorer,
    image: Any,
    grid: tuple[int, int] | None,
    segments: Any,
    fill: Fill,
) -> Picture | None:
    """The picture beside the text, where there is one; an error where the scorer wants one, or reads none."""
    if image is None:
        if scorer.sees:
            raise InputError("this scorer reads a picture with the text: pass image=, and grid= or segments=.")
        if grid is not None or segments is not None:
            raise InputError("grid and segments cut a picture: pass image= with them.")
        return None
    if not scorer.sees:
        raise InputError("this scorer reads no picture: leave out image=, or use one of ip.models.VisionLM.")
    return Picture.of(image, grid, segments, fill)


def _nothing(_images: Any) -> Any:
    raise InputError("a picture beside a text is scored with it.")


def with_picture(game: Game, scorer: Scorer, picture: Picture, worlds: Sequence[Texts], identity: Any) -> Game:
    """The ``game`` of a text with a picture's segments before its units; each world's texts are averaged over."""
    value = _BothAblated(scorer, picture, tuple(worlds), identity)
    pictured, text = picture.game.layout, game.layout
    assert isinstance(pictured, ImageLayout)
    assert isinstance(text, TextLayout)
    spans = ((0, 0),) * picture.n + text.spans  # segments lie nowhere in the text
    clash = set(picture.game.labels) & set(game.labels)
    labels = [f"picture {label}" if label in clash else label for label in picture.game.labels]
    return Game(
        value,
        [*labels, *game.labels],
        outputs=scorer.outputs,
        name=game.name,
        identity=value.known,
        layout=IllustratedLayout(pictured, replace(text, spans=spans)),
        batch_size=game.batch_size,
        notes=game.notes,
        keep=game.keep,
        repeats=game.repeats,
        inputs=value.inputs,
        price=value.price,
        question=f"Which segments of the picture and {_units(game)} drive {scorer.name}"
        f"{f' of {scorer.model}' if scorer.model else ''}?",
    )


def _units(game: Game) -> str:
    words = (game.question or "").split(" drive ")[0].removeprefix("Which ")
    return words or "parts of the text"


@dataclass(frozen=True, eq=False)
class _BothAblated:
    """Masks to pictures with texts to scores; the first columns are the picture's."""

    scorer: Scorer
    picture: Picture
    worlds: tuple[Texts, ...]
    identity: Callable[[], dict[str, Any] | None]

    def known(self) -> dict[str, Any] | None:
        """What identifies the game in a store."""
        parts = self.identity()
        return None if parts is None else parts | {"picture": self.picture.digest}

    def price(self, ablations: int) -> Cost:
        """What so many pictures with texts take."""
        return Cost(ablations * len(self.worlds))

    def inputs(self, masks: Masks) -> list[Illustrated]:
        """The picture and text of each mask, in the first world."""
        return self._inputs(masks, self.worlds[0])

    def _inputs(self, masks: Masks, texts: Texts) -> list[Illustrated]:
        images = self.picture.game.inputs(masks[:, : self.picture.n])
        return [Illustrated(text, one) for text, one in zip(texts(masks[:, self.picture.n :]), images, strict=True)]

    def __call__(self, masks: Masks) -> Any:
        found = [self.scorer(self._inputs(masks, texts)) for texts in self.worlds]
        return found[0] if len(found) == 1 else averaged(found)

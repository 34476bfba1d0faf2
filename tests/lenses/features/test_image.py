"""The image lens: ablated segments show the fill, kept ones the image, pixel for pixel and in the image's type."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import interplay as ip
from interplay._game.layout import layout_from_dict, letters
from interplay.report import show

RNG = np.random.default_rng(0)


def every_mask(n: int) -> np.ndarray:
    return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(bool)


def total(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).sum(axis=1).astype(float)


def layout_of(game: ip.Game | ip.Explanation) -> ip.ImageLayout:
    assert isinstance(game.layout, ip.ImageLayout)
    return game.layout


class Recorder:
    """A predict that remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.seen.append(images)
        return np.zeros(len(images))

    @property
    def images(self) -> np.ndarray:
        return np.concatenate(self.seen)


# --- the images that predict sees ---------------------------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_each_pixel_is_the_images_where_kept_and_the_fills_where_ablated(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    channels = data.draw(st.sampled_from([(), (1,), (3,), (4,)]))
    dtype = data.draw(st.sampled_from([np.uint8, np.int16, np.float32, np.float64]))
    image = (rng.random((height, width, *channels)) * 200).astype(dtype)
    fill = (rng.random(image.shape) * 200).astype(dtype)
    segments = rng.integers(-1, 5, size=(height, width)) * 7  # with gaps; negative ones are never ablated
    segments[0, 0] = 7
    predict = Recorder()
    game = ip.lenses.image(predict, image, segments=segments, ablate=fill, batch_size=data.draw(st.integers(1, 9)))
    present = sorted(set(segments[segments >= 0].tolist()))
    assert game.labels == tuple(f"segment {label}" for label in present)
    masks = rng.random((6, len(present))) < 0.5
    game(masks)
    assert predict.images.dtype == image.dtype
    assert predict.images.shape == (6, *image.shape)
    for mask, seen in zip(masks, predict.images, strict=True):
        for y in range(height):
            for x in range(width):
                kept = segments[y, x] < 0 or mask[present.index(segments[y, x])]
                assert (seen[y, x] == (image if kept else fill)[y, x]).all()


def test_cells_of_a_grid_divide_the_image_evenly_and_are_named_as_in_a_spreadsheet() -> None:
    predict = Recorder()
    game = ip.lenses.image(predict, np.zeros((7, 11)), grid=(3, 4), ablate=1)
    assert game.labels == tuple(f"{column}{row}" for row in "123" for column in "ABCD")
    game(~np.eye(12, dtype=bool))
    assert (predict.images.sum(axis=0) == 1).all()  # each pixel in exactly one cell
    for cell, seen in zip(game.labels, predict.images, strict=True):
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        assert len(rows) in (2, 3)
        assert len(columns) in (2, 3)
        assert seen.sum() == len(rows) * len(columns)
        assert abs(rows.mean() / 7 - (int(cell[1]) - 0.5) / 3) < 0.1
        assert abs(columns.mean() / 11 - ("ABCD".index(cell[0]) + 0.5) / 4) < 0.1
    assert [letters(i) for i in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def test_fills_are_what_their_names_say_in_the_images_type() -> None:
    from scipy.ndimage import gaussian_filter

    image = RNG.integers(0, 256, size=(20, 30, 3), dtype=np.uint8)

    def fill(ablate: Any, of: np.ndarray = image) -> np.ndarray:
        predict = Recorder()
        ip.lenses.image(predict, of, grid=(2, 3), ablate=ablate)(np.zeros((1, 6), dtype=bool))
        assert predict.images.dtype == of.dtype
        return predict.images[0]

    assert (fill("mean") == np.round(image.mean(axis=(0, 1)))).all()
    assert (fill(7) == 7).all()
    assert (fill([1, 2, 3]) == [1, 2, 3]).all()
    assert (fill(image[::-1]) == image[::-1]).all()
    # A cell has 10 x 10 pixels, so that is the Gaussian's width; colours are blurred one by one.
    red = np.round(gaussian_filter(image[..., 0].astype(float), 10.0, mode="reflect"))
    assert (fill("blur")[..., 0] == red).all()
    grey = RNG.random((20, 30)).astype(np.float32)
    assert fill("mean", grey) == pytest.approx(grey.mean())
    np.testing.assert_allclose(fill("blur", grey), gaussian_filter(grey.astype(float), 10.0, mode="reflect"), atol=1e-6)
    assert fill(0.5, grey) == pytest.approx(0.5)
    assert (fill("blur", np.full((20, 30), 9)) == 9).all()
    wide = RNG.random((300, 200))  # cells of 150 x 66 pixels
    near = gaussian_filter(wide, np.sqrt(10_000), mode="reflect")
    assert np.abs(fill("blur", wide) - near).max() < 0.03 * np.ptp(near) + 1e-3


def test_segments_can_be_a_stack_of_masks_with_pixels_in_none() -> None:
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[0, :2], masks[1, 3] = True, True
    predict = Recorder()
    game = ip.lenses.image(predict, np.ones((4, 4)), segments=masks, ablate=0)
    game(every_mask(2))
    assert predict.images[0][2].tolist() == [1, 1, 1, 1]
    assert [image.sum() for image in predict.images] == [4, 12, 8, 16]


def test_pil_images_come_as_arrays_and_palettes_as_colours() -> None:
    from PIL import Image

    pixels = RNG.integers(0, 256, size=(6, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    for given_image, shape in ((picture, (6, 5, 3)), (picture.convert("P"), (6, 5, 3)), (picture.convert("1"), (6, 5))):
        predict = Recorder()
        ip.lenses.image(predict, given_image, grid=(2, 2))(np.ones((1, 4), dtype=bool))
        assert predict.images.shape == (1, *shape)
        assert predict.images.dtype == np.uint8
    predict = Recorder()
    ip.lenses.image(predict, picture, grid=(2, 2))(np.ones((1, 4), dtype=bool))
    assert (predict.images[0] == pixels).all()


def test_the_users_image_is_not_changed_and_changes_nothing_afterwards() -> None:
    image = np.ones((4, 4))

    def vandal(images: np.ndarray) -> np.ndarray:
        sums = total(images)
        images[:] = -9.0
        return sums

    game = ip.lenses.image(vandal, image, grid=(2, 2), ablate=0)
    first = game(every_mask(4))
    assert (image == 1).all()
    image[:] = 5.0
    assert (game(every_mask(4)) == first).all()


def test_predict_gets_no_more_images_at_once_than_asked_or_fit_64_mib() -> None:
    predict = Recorder()
    game = ip.lenses.image(predict, np.zeros((8, 8)), grid=(4, 4), batch_size=10)
    game(ip.design(16, 64))
    assert [len(images) for images in predict.seen] == [10] * 6 + [4]
    large = ip.lenses.image(predict, np.zeros((1024, 1024, 3)), grid=(4, 4))  # 24 MiB each
    assert large.batch_size == 2
    assert ip.lenses.image(predict, np.zeros((8, 8)), grid=(4, 4)).batch_size == 64


# --- known truth --------------------------------------------------------------------------------------------------


def test_a_linear_models_logit_has_the_closed_form_and_no_interaction() -> None:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    data = load_digits(n_class=2)
    model = LogisticRegression(max_iter=500).fit(data.data, data.target)
    image = data.images[1]

    def logit(images: np.ndarray) -> np.ndarray:
        return np.asarray(model.decision_function(images.reshape(len(images), -1)))

    result = ip.explain(ip.lenses.image(logit, image, grid=(3, 3), ablate="mean"), budget=512)
    weighed = model.coef_.reshape(8, 8) * (image - image.mean())
    rows = [slice(0, 3), slice(3, 6), slice(6, 8)]
    expected = [weighed[a, b].sum() for a in rows for b in rows]
    shapley = result.interactions("sv")
    assert [shapley.get((i,), 0.0) for i in range(9)] == pytest.approx(expected, abs=1e-9)
    assert max((abs(v) for key, v in result.interactions("mobius").items() if len(key) > 1), default=0.0) < 1e-9


@pytest.fixture(scope="module")
def marked() -> tuple[Any, np.ndarray]:
    """A network that says whether two corners of a handwritten digit are marked, both; and a digit where they are.

    A third corner is marked as often and says nothing. Some cells of the images it learns from are black, so that it
    knows the rule of ablated images, too.
    """
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(0)
    images = np.repeat(np.pad(load_digits().images / 16, ((0, 0), (2, 2), (2, 2))), 4, axis=0)  # 12 x 12
    images *= (rng.random((len(images), 4, 4)) < 0.7).repeat(3, axis=1).repeat(3, axis=2)
    first, second, other = rng.random((3, len(images))) < 0.5
    images[:, :3, :3] = first[:, None, None]  # A1 of a grid of 4 x 4
    images[:, 9:, 9:] = second[:, None, None]  # D4
    images[:, :3, 9:] = other[:, None, None]  # D1
    model = MLPClassifier((24,), max_iter=30, random_state=0, early_stopping=True, batch_size=64)
    model.fit(images[:6000].reshape(6000, -1), (first & second)[:6000])
    assert model.score(images[6000:].reshape(-1, 144), (first & second)[6000:]) > 0.99
    return model, images[6000:][(first & second & other)[6000:]][0]


def test_two_patches_that_matter_only_together_are_the_strongest_interaction(marked: tuple[Any, np.ndarray]) -> None:
    model, image = marked

    def both(images: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_proba(images.reshape(len(images), -1))[:, 1])

    game = ip.lenses.image(both, image, grid=(4, 4), ablate=0)
    result = ip.explain(game, budget=250)
    found = result.interactions("bii").of_order(2, 16)
    assert found.named()[0][0] == ("A1", "D4")
    masks = every_mask(16)
    signs = np.where(masks[:, 0] == masks[:, 15], 1.0, -1.0)  # of the second difference, by brute force
    truth = 4 * (signs * game(masks)).mean()
    assert truth > 0.7
    assert found[0, 15] == pytest.approx(truth, abs=0.03)
    assert max(abs(value) for key, value in found.items() if key != (0, 15)) < truth / 2
    assert result.faithfulness.r2 > 0.95 > 0.8 > result.faithfulness.first_order


def test_the_same_two_patches_are_found_among_segments(marked: tuple[Any, np.ndarray]) -> None:
    model, image = marked
    segments = np.repeat(np.repeat(np.arange(9).reshape(3, 3), 4, axis=0), 4, axis=1) + 10
    segments[:3, :3], segments[9:, 9:] = 3, 50

    def both(images: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_proba(images.reshape(len(images), -1))[:, 1])

    result = ip.explain(ip.lenses.image(both, image, segments=segments, ablate="mean"), budget=250)
    assert result.interactions("bii").of_order(2, 11).named()[0][0] == ("segment 3", "segment 50")


def test_all_classes_of_a_digit_are_explained_at_once() -> None:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    data = load_digits()
    model = LogisticRegression(max_iter=500).fit(data.data[:1000] / 16, data.target[:1000])

    def classes(images: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_proba(images.reshape(len(images), -1) / 16))

    game = ip.lenses.image(classes, data.images[1003], grid=(2, 2), outputs=[str(digit) for digit in range(10)])
    result = ip.explain(game, budget=16)
    truth = str(data.target[1003])
    assert result.for_output(truth).full == pytest.approx((classes(data.images[1003:1004])[0, int(truth)],))
    assert len(result.fits) == 10


# --- the picture that is kept and shown ---------------------------------------------------------------------------


def blobs(height: int = 90, width: int = 120, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A colour picture, and irregular segments of it: the pixels nearest to each of some points."""
    rng = np.random.default_rng(3)
    points = rng.random((count, 2)) * [height, width]
    y, x = np.mgrid[:height, :width]
    segments = ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(axis=2)
    colours = rng.integers(0, 256, size=(count, 3), dtype=np.uint8)
    return colours[segments], segments


def explained_blobs() -> ip.Explanation:
    image, segments = blobs()
    at = [tuple(np.argwhere(segments == i)[0]) for i in range(12)]

    def value(images: np.ndarray) -> np.ndarray:
        kept = np.stack([(images[:, y, x] == image[y, x]).all(axis=1) for y, x in at], axis=1)
        return 2.0 * (kept[:, 3] & kept[:, 7]) - 1.0 * (kept[:, 2] & kept[:, 9]) + 0.5 * kept[:, 1]

    return ip.explain(ip.lenses.image(value, image, segments=segments, ablate=image[::-1, ::-1] ^ 255), budget=400)


def shown(explanation: ip.Explanation, **options: Any) -> str:
    console = Console(file=StringIO(), highlight=False, **{"width": 80, **options})
    show(explanation, top=3, console=console)
    text: str = console.file.getvalue()
    return text


def test_a_saved_explanation_keeps_the_picture_and_its_segments(tmp_path: Path) -> None:
    result = explained_blobs()
    result.save(tmp_path / "saved.json")
    loaded = ip.load(tmp_path / "saved.json")
    layout = layout_of(loaded)
    assert layout == result.layout
    assert layout_from_dict(json.loads(json.dumps(layout.to_dict()))) == layout
    assert layout.shape == (90, 120)
    picture, segments = np.array(layout.picture), np.array(layout.segments)
    assert picture.shape == (48, 64, 3)
    assert segments.shape == (48, 64)
    assert set(segments.ravel()) == set(range(12))
    image, whole = blobs()
    inside = np.array([whole[y * 90 // 48, x * 120 // 64] for y in range(48) for x in range(64)]).reshape(48, 64)
    assert (inside == segments).mean() > 0.9
    for feature in range(12):  # colours are those of the image, but for borders
        colour = np.median(picture[segments == feature], axis=0)
        assert np.abs(colour - image[whole == feature][0]).max() <= 2


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0, 128], [255, 64]], dtype=np.uint8), [[0, 128], [255, 64]]),
        (np.array([[0.0, 0.5], [1.0, 0.25]]), [[0, 128], [255, 64]]),
        (np.array([[0.25, 0.5], [0.5, 0.25]]), [[64, 128], [128, 64]]),
        (np.array([[-2.0, 0.0], [2.0, -1.0]]), [[0, 128], [255, 64]]),
        (np.array([[0, 8], [16, 4]]), [[0, 128], [255, 64]]),
        (np.zeros((2, 2)), [[0, 0], [0, 0]]),
        (np.full((2, 2), -3.0), [[0, 0], [0, 0]]),
    ],
)
def test_pictures_of_any_range_are_kept_as_tones(image: np.ndarray, expected: list[list[int]]) -> None:
    picture = np.array(layout_of(ip.lenses.image(total, image, grid=(1, 2))).picture)
    np.testing.assert_allclose(picture, np.array(expected)[..., None].repeat(3, axis=2), atol=0.5)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_pictures_of_any_channels_are_kept(channels: int) -> None:
    image = np.full((2, 3, channels), 100, dtype=np.uint8)
    if channels in (2, 4):
        image[..., -1] = 255  # transparency
    assert np.array(layout_of(ip.lenses.image(total, image, grid=(1, 2))).picture).tolist() == [[[100] * 3] * 3] * 2


def test_no_segment_vanishes_from_the_small_picture() -> None:
    segments = np.zeros((512, 512), dtype=int)
    segments[5, 300], segments[200, 7:9] = 1, 2
    layout = layout_of(ip.lenses.image(total, np.zeros((512, 512), dtype=np.uint8), segments=segments))
    assert set(np.ravel(layout.segments)) == {0, 1, 2}
    assert layout.segments[0][37] == 1


def test_the_report_shows_the_grid_and_where_the_strongest_sets_lie_without_colour() -> None:
    image = np.zeros((8, 8))
    image[0, 0] = image[7, 7] = image[0, 7] = 1.0

    def value(images: np.ndarray) -> np.ndarray:
        return images[:, 0, 0] * images[:, 7, 7] - 0.5 * images[:, 0, 7]

    text = shown(ip.explain(ip.lenses.image(value, image, grid=(4, 4), ablate=0), budget=500, method="proxyspex"))
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    lines = text[text.index("\nImage") :].splitlines()[2:]
    assert lines[0].split()[-4:] == ["A", "B", "C", "D"]
    assert lines[1].split()[-5:] == ["1", "+100", "·", "·", "-100"]
    assert lines[4].split()[-5:] == ["4", "·", "·", "·", "+100"]
    assert lines[0].startswith("███")  # the bright pixel, three times enlarged
    where = text[text.index("\nWhere") :].splitlines()[2:]
    assert where[0].split()[:4] == ["+1", "A1", "+", "D4"]
    assert where[1].split()[0] == "████" + "·" * 12
    assert where[8].split()[0] == "·" * 12 + "████"


def test_the_report_marks_irregular_segments_with_their_numbers_without_colour() -> None:
    text = shown(explained_blobs())
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    drawing = text[text.index("\nImage") : text.index("\nWhere")]
    assert {"0", "1", "2", "3", "7", "9", "10"} <= set(drawing.translate(str.maketrans("+-·", "   ")).split())
    assert "+++" in drawing
    assert "---" in drawing
    where = text[text.index("\nWhere") :].splitlines()[2:]
    assert where[0].split() == ["+2", "3", "+", "7", "-1", "2", "+", "9"]
    assert all(set(line) <= set("█· ") for line in where[1:8])


def test_the_report_tints_segments_where_there_is_colour() -> None:
    text = shown(explained_blobs(), force_terminal=True, color_system="truecolor")
    assert "▀" in text
    assert "\x1b[38;2;" in text
    narrow = shown(explained_blobs(), width=40)
    assert max(map(len, narrow.splitlines())) <= 40


def test_a_wide_grid_stands_below_the_picture() -> None:
    game = ip.lenses.image(total, np.eye(28), grid=(3, 14), ablate=0)
    text = shown(ip.explain(game, budget=100, method="lasso"))
    assert max(map(len, text.splitlines())) <= 80
    header = next(line for line in text.splitlines() if line.split()[:2] == ["A", "B"])
    assert header.split()[-1] == "N"
    assert "Where" not in text  # nothing acts together


def test_a_game_is_stored_under_its_name_only_and_can_be_sent_to_another_process(tmp_path: Path) -> None:
    game = ip.lenses.image(total, RNG.random((6, 6)), grid=(3, 3))
    assert game.fingerprint is None
    first, again = (
        ip.explain(game.named("total"), budget=40, method="lasso", store=tmp_path / "runs.db") for _ in range(2)
    )
    assert (first.from_store, again.from_store) == (0, first.used)
    sent = pickle.loads(pickle.dumps(game))
    assert (sent(every_mask(9)) == game(every_mask(9))).all()


# --- mistakes -----------------------------------------------------------------------------------------------------

GREY = np.zeros((6, 8))
BYTES = np.zeros((6, 8, 3), dtype=np.uint8)
HALVES = np.arange(48).reshape(6, 8) % 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda im: im(total, GREY), r"pass either grid=\(rows, columns\) or segments="),
        (lambda im: im(total, GREY, grid=(2, 2), segments=HALVES), "and not both"),
        (lambda im: im(total, GREY, grid=(7, 2)), "a grid of 7 x 2 cells is finer than the image of 6 x 8 pixels"),
        (lambda im: im(total, GREY, grid=(2, 9)), "a grid of 2 x 9 cells is finer than the image of 6 x 8 pixels"),
        (lambda im: im(total, GREY, grid=4), r"grid must be two whole numbers of at least 1, \(rows, columns\), not 4"),
        (lambda im: im(total, GREY, grid=(0, 3)), r"grid must be two whole numbers .* not \(0, 3\)"),
        (lambda im: im(total, GREY, grid=(2.5, 3)), r"grid must be two whole numbers .* not \(2.5, 3\)"),
        (
            lambda im: im(total, GREY, segments=HALVES.T),
            r"segments have shape \(8, 6\), but the image has 6 x 8",
        ),
        (lambda im: im(total, GREY, segments=HALVES * 1.0), "segments must be whole numbers, .* not float64"),
        (lambda im: im(total, GREY, segments=HALVES - 5), "segments are all negative, which means never ablated"),
        (lambda im: im(total, GREY, segments=np.zeros((2, 6, 8), dtype=bool)), "segment 0 is empty: leave it out"),
        (lambda im: im(total, GREY, segments=np.ones((2, 6, 8), dtype=bool)), "48 pixels are in several segments"),
        (lambda im: im(total, GREY, segments=np.ones((2, 8, 6), dtype=bool)), r"masks have shape \(2, 8, 6\)"),
        (lambda im: im(total, GREY, grid=(2, 2), ablate="blurr"), "unknown ablate 'blurr'. Did you mean 'blur'"),
        (
            lambda im: im(total, GREY, grid=(2, 2), ablate=[1, 2, 3]),
            r"ablate has shape \(3,\), but it must be a num",
        ),
        (lambda im: im(total, BYTES, grid=(2, 2), ablate=[1, 2]), r"a number, a colour of shape \(3,\), or an image"),
        (lambda im: im(total, BYTES, grid=(2, 2), ablate=300), "outside the image's uint8, 0 to 255"),
        (lambda im: im(total, BYTES, grid=(2, 2), ablate=0.5), r"ablate has fractions, but .* whole numbers \(uint8\)"),
        (lambda im: im(total, GREY, grid=(2, 2), ablate=np.nan), "ablate holds NaN"),
        (lambda im: im(total, GREY, grid=(2, 2), ablate=None), "ablate must be 'blur', 'mean', .* not None"),
        (lambda im: im(total, np.zeros((3, 32, 32)), grid=(2, 2)), r"channels first: pass image.transpose\(1, 2, 0\)"),
        (lambda im: im(total, np.zeros(9), grid=(2, 2)), r"the image must have shape \(height, width\) .* not \(9,\)"),
        (lambda im: im(total, np.zeros((0, 9)), grid=(2, 2)), r"the image must have shape .* not \(0, 9\)"),
        (lambda im: im(total, GREY.astype(bool), grid=(2, 2)), "the image must hold numbers, not bool"),
        (lambda im: im(total, "cat.png", grid=(2, 2)), "the image is 'cat.png', not pixels: open it first"),
        (lambda im: im(total, None, grid=(2, 2)), "the image is None, not pixels"),
        (lambda im: im(total, GREY * np.nan, grid=(2, 2)), "the image holds 48 values that are NaN or infinite"),
        (
            lambda im: im(total, GREY, grid=(2, 2), batch_size=0),
            "batch_size must be a whole .* at least 1, not 0",
        ),
        (lambda im: im("model", GREY, grid=(2, 2)), "predict must be a function, but str is not"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ip.InputError, match=message) as caught:
        make(ip.lenses.image)
    assert "\n" not in str(caught.value)


def test_a_predict_that_returns_another_number_of_values_is_told_so() -> None:
    game = ip.lenses.image(lambda images: images.mean(axis=(1, 2))[:-1], GREY, grid=(2, 2))
    with pytest.raises(ip.AblationError, match=r"predict returned shape \(7,\) for 8 images: return shape \(8,\)"):
        ip.explain(game, budget=16)


def test_a_single_segment_is_noted() -> None:
    game = ip.lenses.image(total, GREY, grid=(1, 1))
    assert game.notes == ("the image is a single segment, so there is nothing to combine",)

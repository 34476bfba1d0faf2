"""Pages in a real browser: nothing leaves, nothing foreign runs, and pointer, keyboard and sliders show partners."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import interplay as ip
from interplay._visible import visible
from results import EVERY, HOSTILE, hostile, large, sentences, training, unfolded, words

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EXPLORED = sorted(set(EVERY) - {"training"})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "these tests need Chromium: apt-get install chromium, or deselect them with -m 'not browser'"
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """An open page, what it asked of the network, and what it complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def one(self, selector: str) -> Any:
        """The first element."""
        return self.page.locator(selector).first

    def count(self, selector: str) -> int:
        """How many elements."""
        return int(self.page.locator(selector).count())

    def strongest(self) -> list[int]:
        """The parts of the strongest combination."""
        script = """() => JSON.parse(document.querySelector('script.data').textContent)
            .outs[0].sets.find((set) => set[2].length > 1)[2]"""
        found: list[int] = self.page.evaluate(script)
        return found


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def open_page(result: ip.Explanation, width: int = 1440, scheme: str = "light") -> Visit:
        ip.report.html(result, tmp_path / "page.html")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(10_000)
        opened = Visit(context.new_page())
        opened.page.goto((tmp_path / "page.html").as_uri())
        return opened

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("kind", sorted(EVERY))
@pytest.mark.parametrize("width", [360, 1440])
def test_a_page_asks_nothing_of_the_network_and_fits(visit: Callable[..., Visit], kind: str, width: int) -> None:
    seen = visit(EVERY[kind](), width)
    assert [url for url in seen.requests if not url.startswith("data:")] == [seen.page.url]
    assert seen.complaints == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    seen.page.emulate_media(media="print")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.one(".answer").is_visible()


@pytest.mark.parametrize("kind", [kind for kind in EXPLORED if kind != "hostile"])
def test_pointer_and_keyboard_show_what_acts_together(visit: Callable[..., Visit], kind: str) -> None:
    seen = visit(EVERY[kind]())
    first, *others = seen.strongest()
    part = seen.one(f".part[data-i='{first}']")
    part.hover()
    assert "on" in part.get_attribute("class")
    for other in others:
        assert "partner" in seen.one(f".part[data-i='{other}']").get_attribute("class")
    assert seen.count(".arcs path") >= len(others)
    seen.page.mouse.move(0, 0)
    assert seen.count(".arcs path") == 0
    seen.one(".part[tabindex='0']").focus()
    assert seen.count(".part.on") == 1
    seen.page.keyboard.press("End")
    assert seen.page.evaluate("document.activeElement.dataset.i") is not None
    assert seen.count(".part.on") == 1
    part.focus()
    seen.page.keyboard.press("Enter")
    assert part.get_attribute("aria-pressed") == "true"
    assert seen.count(".listed tr") >= 1
    seen.page.evaluate("document.activeElement.blur()")
    assert seen.count(".arcs path") >= len(others)  # pinned
    part.focus()
    seen.page.keyboard.press("Escape")
    assert part.get_attribute("aria-pressed") == "false"


def test_thickness_is_strength_and_colour_is_sign(visit: Callable[..., Visit]) -> None:
    seen = visit(EVERY["grid"]())
    seen.one(".part[data-i='0']").hover()  # -3 with part 5
    assert seen.one(".arcs path").get_attribute("class") == "down"
    seen.page.mouse.move(0, 0)
    seen.one(".part[data-i='1']").hover()  # +2 with part 2
    assert seen.one(".arcs path").get_attribute("class") == "up"
    seen = visit(words())
    at = words().labels.index("fails")
    seen.one(f".part[data-i='{at}']").hover()
    assert "never" in seen.one(".status").inner_text()


def test_a_set_of_the_list_shows_its_parts(visit: Callable[..., Visit]) -> None:
    seen = visit(words())
    seen.one(".listed tr").hover()
    assert seen.count(".part.on") == len(seen.strongest())
    seen.one(".listed .set").click()
    seen.page.mouse.move(0, 0)
    assert seen.count(".part.on") == len(seen.strongest())


def test_sliders_choose_order_and_number(visit: Callable[..., Visit]) -> None:
    seen = visit(large())
    seen.one(".count").fill("40")
    assert seen.count(".listed tr") == 40
    seen.one(".order").fill("2")
    assert all(text.count("+word") + text.count("+ word") <= 1 for text in seen.page.locator(".set").all_inner_texts())
    seen.one(".count").fill("5")
    assert seen.count(".listed tr") == 5


def test_an_output_is_chosen_and_both_ways_are_shown(visit: Callable[..., Visit]) -> None:
    seen = visit(sentences())
    assert seen.count(".out:not([hidden])") == 1
    before = seen.one(".part[data-i='2']").get_attribute("class")
    seen.one(".pick[data-o='1']").click()
    assert seen.one(".pick[data-o='1']").get_attribute("aria-checked") == "true"
    assert seen.count(".out:not([hidden])") == 1
    assert seen.one(".part[data-i='2']").get_attribute("class") != before
    assert "p6" in seen.one(".part[data-i='2']").get_attribute("class")  # the tickets drive the second answer
    seen.one(".part[data-i='2']").hover()
    assert "p6" in seen.one(".pick[data-o='1']").get_attribute("class")
    assert "p6" not in seen.one(".pick[data-o='0']").get_attribute("class")
    seen.one(".pick[data-o='1']").focus()
    seen.page.keyboard.press("ArrowRight")
    assert seen.one(".pick[data-o='2']").get_attribute("aria-checked") == "true"


def test_a_hostile_page_runs_nothing_and_shows_everything(visit: Callable[..., Visit]) -> None:
    seen = visit(hostile())
    for part in seen.page.locator(".part").all():
        part.focus()
    seen.one(".pick[data-o='1']").click()
    assert seen.page.evaluate("window.hacked") is None
    assert seen.complaints == []
    texts = seen.page.locator(".part").all_text_contents()
    for word, text in zip(HOSTILE, texts, strict=True):
        assert visible(word) in text
    assert seen.one(".part").is_visible()
    assert seen.page.title() == "interplay"


def test_without_script_the_page_still_says_what_it_found(browser: Any, tmp_path: Path) -> None:
    ip.report.html(words(), tmp_path / "page.html")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator(".rank tr").count() >= 3
    assert not page.locator(".controls").first.is_visible()
    context.close()


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = (top, under) => { const a = top[3] ?? 1; return [0, 1, 2].map((i) => a * top[i] + (1 - a) * under[i]); };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((x) => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let worst = [99, ''];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    const seen = node.getClientRects().length && !node.closest('script, style, svg');
    if (!walk.currentNode.textContent.trim() || !seen) continue;
    const chain = [];
    for (let up = node; up; up = up.parentElement) chain.unshift(parse(getComputedStyle(up).backgroundColor));
    let under = [255, 255, 255];
    for (const layer of chain) under = over(layer, under);
    const ink = over(parse(getComputedStyle(node).color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, walk.currentNode.textContent.trim().slice(0, 40)];
  }
  return worst;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["words", "sentences", "grid", "row", "training"])
def test_text_stands_out_from_its_background(visit: Callable[..., Visit], kind: str, scheme: str) -> None:
    ratio, where = visit(EVERY[kind](), 1440, scheme).page.evaluate(CONTRAST)
    assert ratio >= 4.5, where  # WCAG 2.2, level AA


def test_every_part_has_a_name_for_a_screen_reader(visit: Callable[..., Visit]) -> None:
    seen = visit(words())
    for part in seen.page.locator(".part").all():
        assert part.get_attribute("role") == "button"
        assert part.get_attribute("aria-label")
    assert seen.one(".status").get_attribute("aria-live") == "polite"
    assert seen.one("h2").inner_text() == "Which words drive the score?"


def test_examples_are_cards_and_test_points_open(visit: Callable[..., Visit]) -> None:
    seen = visit(training())
    assert seen.count(".deck li") > 5
    assert seen.one(".deck img").is_visible()
    closed = seen.page.locator("details").nth(1)
    assert not closed.locator(".deck").first.is_visible()
    closed.locator("summary").click()
    assert closed.locator(".deck").first.is_visible()
    assert seen.count("table.grid td.lvl") == 12


def test_parts_unfold_and_fold(visit: Callable[..., Visit]) -> None:
    """What matters is unfolded from the start; the rest is a click away, and each part says its level."""
    seen = visit(unfolded())
    branches = unfolded().outline
    seen.one(".unfolding").scroll_into_view_if_needed()
    leaf = seen.page.locator(".unfolding .leaf", has_text="The code is in the red book.")
    assert leaf.is_visible()
    assert leaf.locator(".tag").inner_text() == "sentence"
    assert seen.count(".unfolding .leaf") == unfolded().n
    folded = [branch for branch in branches if not branch.parts]
    assert seen.page.locator(".unfolding > .leaf").count() == len(folded)
    seen.page.get_by_role("button", name="Fold all", exact=True).click()
    assert not leaf.is_visible()
    for _ in range(2):  # block, then paragraph
        seen.page.locator(".unfolding details:not([open]) > summary:visible").first.click()
    assert leaf.is_visible()
    seen.page.get_by_role("button", name="Unfold all", exact=True).click()
    assert seen.count(".unfolding details:not([open])") == 0
    seen.page.emulate_media(media="print")
    assert leaf.is_visible()


def test_an_unfolded_part_shows_what_acts_with_it_on_the_map(visit: Callable[..., Visit]) -> None:
    seen = visit(unfolded())
    first, other = (
        unfolded().labels.index(text) for text in ("The code is in the red book.", "Nobody has moved the red book.")
    )
    leaf = seen.one(f".unfolding .leaf[data-i='{first}']")
    leaf.hover()
    assert "on" in seen.one(f".part[data-i='{first}']").get_attribute("class")
    assert "partner" in seen.one(f".part[data-i='{other}']").get_attribute("class")
    leaf.click()
    assert leaf.get_attribute("aria-pressed") == "true"
    assert seen.one(f".part[data-i='{first}']").get_attribute("aria-pressed") == "true"
    leaf.focus()
    seen.page.keyboard.press("Enter")
    assert leaf.get_attribute("aria-pressed") == "false"

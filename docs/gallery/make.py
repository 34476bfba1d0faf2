"""Run docs/gallery.md and save its pictures: plots as they are, pages as Chromium shows them.

    python docs/gallery/make.py          # needs the extras demo, plot and test, and Chromium

The first page, with the pointer on a word, is also docs/page.png, which opens the README.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent
STEP = re.compile(r"^```python\n(?P<code>.*?)^```|^!\[[^\]]*\]\((?P<image>[^)]+)\)", re.DOTALL | re.MULTILINE)
POINTED = {"review.png": "film", "answer.png": "Tickets cost twelve euros for adults"}


def main() -> None:
    """Run block after block; a picture shows the last axes or page that a block made."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    names: dict[str, Any] = {"__name__": "__main__"}
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for step in STEP.finditer((DOCS / "gallery.md").read_text(encoding="utf-8")):
            if step["code"] is not None:
                names.pop("ax", None)
                exec(compile(step["code"], "gallery.md", "exec"), names)
                continue
            target = DOCS / step["image"]
            if "ax" in names:
                names["ax"].figure.savefig(target, dpi=90)
            else:
                photograph(browser, names["page"], target)
            print(target)
        browser.close()
    shutil.copy(DOCS / "gallery" / "review.png", DOCS / "page.png")


def photograph(browser: Any, page: Path, target: Path) -> None:
    """A page as a reader sees it, the pointer on the part that ``POINTED`` names."""
    opened = browser.new_page(viewport={"width": 1280, "height": 860})
    opened.goto(page.as_uri())
    if target.name in POINTED:
        opened.locator(".part", has_text=POINTED[target.name]).first.hover()
    opened.screenshot(path=target)
    opened.close()


if __name__ == "__main__":
    main()

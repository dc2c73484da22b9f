"""``make screenshots``: the pictures of README and docs, taken of the running service.

Each shows what a view is for, with fixed texts and seeds, in the light colors.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, EXECUTABLES
from tests.browser.playground import Playground
from tests.support.repository import ROOT
from tests.support.service.process import RunningService

IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 800}
LARGEST_BYTES = 300_000


def write(playground: Playground) -> None:
    """Next words under the caret."""
    section = playground.open("write", model="shakespeare-char", text="ROMEO:\nMy lo")
    section.locator(".forecast").wait_for()


def alternatives(playground: Playground) -> None:
    """A continuation, and the tokens that one of its tokens was drawn from."""
    section = playground.open(
        "write", model="english-word", text="To my fellow citizens, the United"
    )
    section.locator("button.continue").click()
    playground.wait_until_written()
    section.locator(".generated .token").nth(6).hover()
    playground.page.locator("#write-panel").wait_for()


def read(playground: Playground) -> None:
    """A text in the colors of the unit that counts the position in the line."""
    section = playground.open("read")
    section.locator(".examples button").first.click()
    playground.wait_until_read()
    playground.page.wait_for_load_state("networkidle")


def clamp(playground: Playground) -> None:
    """The same unit held at 1: the lines end after a word."""
    section = playground.open("read")
    playground.wait_until_read()
    section.locator(".named-units .unit", has_text="position in the line").click()
    playground.wait_until("document.querySelector('.clamped').textContent !== ''")
    playground.page.set_viewport_size({"width": SIZE["width"], "height": 1010})
    playground.page.evaluate("scrollTo(0, document.body.scrollHeight)")


def classify(playground: Playground) -> None:
    """The probability of a label after each word."""
    section = playground.open("classify")
    section.locator(".reading-chart polyline").first.wait_for()


def compare(playground: Playground) -> None:
    """Two continuations along a sentence."""
    section = playground.open("compare")
    section.locator(".verdict b").wait_for()


def unroll(playground: Playground) -> None:
    """The network over the words of a sentence, and the arithmetic of one unit."""
    section = playground.open("unroll", text="The people of this nation", layer="1", token="3")
    section.locator(".arithmetic li").first.wait_for()
    playground.page.set_viewport_size({"width": SIZE["width"], "height": 1260})


def gradient(playground: Playground) -> None:
    """The gradient of the loss of "are" at each word before it."""
    playground.open("gradient").locator(".gradient-bars").wait_for()


def recurrence(playground: Playground) -> None:
    """The gradient over k of one Elman unit."""
    section = playground.open("recurrence")
    section.locator(".gradient-flow polyline").wait_for()


def words(playground: Playground) -> None:
    """The map of four words and their nearest words."""
    playground.open("words").locator(".word-list .card").first.wait_for()


def memory(playground: Playground) -> None:
    """For how many words the states after two texts differ."""
    section = playground.open("memory")
    section.locator(".lasting-units td").first.wait_for()


def swap(playground: Playground) -> None:
    """Both texts go on with layer 1 of the other memory, which carries the number of the noun."""
    section = playground.open(
        "memory", first="The laws", second="The law", continuation="of the country"
    )
    section.locator(".lasting-units td").first.wait_for()
    section.locator("#memory-swap").select_option("1")
    section.get_by_role("button", name="Generate").click()
    playground.wait_until(
        "[...document.querySelectorAll('.operation-result .passage')].every((p) => p.textContent)"
    )
    playground.page.set_viewport_size({"width": SIZE["width"], "height": 500})
    playground.page.evaluate("document.querySelector('#view-memory .operation').scrollIntoView()")


def models(playground: Playground) -> None:
    """The models of the repository."""
    playground.open("models").locator(".card").first.wait_for()


PICTURES: tuple[Callable[[Playground], None], ...] = (
    write,
    alternatives,
    read,
    clamp,
    classify,
    compare,
    unroll,
    gradient,
    recurrence,
    words,
    memory,
    swap,
    models,
)


def save(screenshot: bytes, path: Path) -> None:
    """Writes a PNG file with a palette of 256 colors, a third as large."""
    with Image.open(io.BytesIO(screenshot)) as image:
        palette = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        palette.save(path, optimize=True)


def take(directory: Path = IMAGES) -> None:
    """Writes one PNG file for each picture. Raises ValueError if one is too large for the docs."""
    directory.mkdir(parents=True, exist_ok=True)
    executable = os.environ.get("UNROLL_BROWSER") or next(
        filter(None, map(shutil.which, EXECUTABLES)), None
    )
    with RunningService(ROOT / "pretrained") as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        for picture in PICTURES:
            context = browser.new_context(
                viewport={"width": SIZE["width"], "height": SIZE["height"]},
                color_scheme="light",
                reduced_motion="reduce",
            )
            playground = Playground(context.new_page(), f"http://127.0.0.1:{running.port}/")
            picture(playground)
            path = directory / f"{picture.__name__}.png"
            save(playground.page.screenshot(), path)
            context.close()
            if path.stat().st_size > LARGEST_BYTES:
                raise ValueError(f"{path}: over {LARGEST_BYTES} bytes")
        browser.close()


if __name__ == "__main__":
    take()

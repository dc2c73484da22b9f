"""Numbers and commands in the pages, and the notebook that is made from the pages.

A number in a page stands between two comments, ``<!--=NAME:PLACE FORMAT-->`` and ``<!--/-->``.
``PLACE`` leads into the JSON file beside the figure ``NAME``: names and indices with dots between.
In a name ``_`` stands for a space or a dot as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.lecture.book import CHAPTERS, Chapter
from docs.lecture.museum.exhibits import EXHIBITS

PAGES = Path(__file__).resolve().parent
FIGURES = PAGES.parent / "images" / "lecture"
NOTEBOOK = PAGES / "lecture.ipynb"
NUMBER = re.compile(r"(<!--=([\w-]+):([^ >]+)(?: ([^ >]+))?-->).*?(<!--/-->)")
PRODUCT = re.compile(r"(<!-- not run: for your own models -->\n```sh\n).*?(\n```)")
PROGRAM = re.compile(
    r"<!-- not run: tests/docs/lecture runs it -->\n```python\n(.*?)\n```", re.DOTALL
)


def numbers_of(name: str) -> dict[str, Any]:
    """The committed numbers of a figure."""
    values: dict[str, Any] = json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))
    return values


def renewed(text: str, page: str) -> str:
    """The text of a page with the committed numbers, and with the command of the table."""
    text = NUMBER.sub(lambda m: m[1] + _shown(m[2], m[3], m[4] or "") + m[5], text)
    if page in CHAPTERS:
        product = product_command(CHAPTERS[page])
        text = PRODUCT.sub(lambda m: m[1] + product + m[2], text)
    return text


def product_command(chapter: Chapter) -> str:
    """The command for other models, with the sentence that the default language model knows."""
    if "{sentence}" not in chapter.product:
        return chapter.product
    sentence = numbers_of(chapter.name)["default"]["sentence"]
    return chapter.product.format(sentence=sentence[:1].lower() + sentence[1:])


def _shown(name: str, place: str, form: str) -> str:
    value: Any = numbers_of(name)
    for step in place.split("."):
        if isinstance(value, dict):
            value = {re.sub("[ .]", "_", name): inside for name, inside in value.items()}
        value = value[int(step)] if isinstance(value, list) else value[step]
    return format(value, form) if form else str(value)


def pages() -> Iterator[Path]:
    """The pages of the book in the order of the table, then the museum."""
    yield from (PAGES / f"{name}.md" for name in CHAPTERS)
    yield PAGES / "museum.md"


def renew_pages() -> None:
    """Writes the committed numbers into all pages, and the notebook."""
    for path in pages():
        text = path.read_text(encoding="utf-8")
        path.write_text(renewed(text, path.stem), encoding="utf-8")
    NOTEBOOK.write_text(notebook_text(), encoding="utf-8")


def notebook_text() -> str:
    """The pages as a Jupyter notebook (nbformat 4.5): idea, formula, code, figure, question."""
    cells = [
        _cell("start", "# The lecture\n\nMade from the pages of docs/lecture by `make lecture`."),
        _cell("setup", SETUP, code=True),
    ]
    for name in CHAPTERS:
        text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        before, _, after = text.partition("## Run it")
        (program,) = PROGRAM.findall(before)
        cells += [
            _cell(f"{name}-idea", _plain(before.partition("## In code")[0])),
            _cell(f"{name}-code", program, code=True),
            _cell(f"{name}-figure", f'show("{name}")', code=True),
            _cell(
                f"{name}-reading", _plain("## What to see" + after.partition("## What to see")[2])
            ),
        ]
    for number, exhibit in EXHIBITS.items():
        cells += [
            _cell(f"museum-{number}", f"## {exhibit.title}\n\nWhat is wrong with run A?"),
            _cell(f"museum-{number}-figure", f'show("museum-{number}")', code=True),
        ]
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


SETUP = """import os
import sys
from pathlib import Path

root = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "mkdocs.yml").exists())
os.chdir(root)
sys.path.insert(0, str(root))
from docs.lecture.show import show"""


def _plain(text: str) -> str:
    """Markdown without the comments and without the links to other pages."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\n{3,}", "\n\n", text.partition("## On your own model")[0]).strip()


def _cell(name: str, source: str, *, code: bool = False) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "code" if code else "markdown",
        "id": name,
        "metadata": {},
        "source": source.splitlines(keepends=True),
    }
    return cell | {"execution_count": None, "outputs": []} if code else cell

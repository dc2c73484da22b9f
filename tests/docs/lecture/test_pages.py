"""The pages of the book and the notebook: commands, numbers, programs, formulas."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

import docs.lecture.show
from docs.generate.formulas import FORMULA, formula, with_formulas
from docs.lecture.book import CHAPTERS
from docs.lecture.museum.exhibits import EXHIBITS
from docs.lecture.pages import NOTEBOOK, PAGES, notebook_text, pages, product_command, renewed
from docs.lecture.show import NAMES
from training.commands.cli import build_parser

PARTS = ["In code", "Run it", "What to see", "Question", "On your own model"]
COMMAND = re.compile(r"^python -m docs\.lecture .*$", re.MULTILINE)
# Fields of a code cell in nbformat 4.5; a Markdown cell has the first four.
CELL_FIELDS = ["cell_type", "id", "metadata", "source", "execution_count", "outputs"]
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in pages()}


@pytest.mark.parametrize("name", TEXTS)
def test_numbers_of_a_page_are_those_of_its_figure(name: str) -> None:
    """`make lecture` would change nothing: each number is that of the JSON file, as printed."""
    assert renewed(TEXTS[name], name) == TEXTS[name]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_has_its_parts_and_the_command_of_the_table(name: str) -> None:
    """Idea, formula, code, command, figure, what to see, and a question with a folded answer."""
    text = TEXTS[name]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    assert COMMAND.findall(text) == [CHAPTERS[name].command]
    assert FORMULA.search(text)
    assert f"](../images/lecture/{name}.svg)" in text
    assert text.count("<details") == 1


def test_the_museum_has_each_exhibit() -> None:
    """Each exhibit has its command, its figure and a folded cause; its title does not tell it."""
    text = TEXTS["museum"]
    assert COMMAND.findall(text) == [exhibit.command for exhibit in EXHIBITS.values()]
    for number, exhibit in EXHIBITS.items():
        assert f"## {exhibit.title}\n" in text
        assert f"](../images/lecture/museum-{number}.svg)" in text
    assert text.count("<details") == len(EXHIBITS)


def test_the_index_lists_the_table() -> None:
    """Each page is listed with its command."""
    text = (PAGES / "index.md").read_text(encoding="utf-8")
    for number, (name, chapter) in enumerate(CHAPTERS.items(), start=1):
        title = TEXTS[name].splitlines()[0].removeprefix(f"# {number}. ")
        assert re.search(
            rf"\| {number} \| \[[^\]]+\]\({name}\.md\) \| `{chapter.command}` \|", text
        )
        assert title


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_command_for_other_models_is_one_of_the_product(name: str) -> None:
    """The parser of training accepts it."""
    command = shlex.split(product_command(CHAPTERS[name]))
    assert command[:2] == ["python", "-m"]
    if command[2] == "training":
        build_parser().parse_args(command[3:])


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed notebook is that of the pages; its code cells run in their order."""
    assert NOTEBOOK.read_text(encoding="utf-8") == notebook_text()
    shown = list[str]()
    # The figures themselves are measured by the other tests; IPython displays them.
    monkeypatch.setattr(docs.lecture.show, "show", shown.append)
    monkeypatch.chdir(PAGES)
    namespace: dict[str, Any] = {}
    for cell in json.loads(notebook_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), namespace)  # noqa: S102 - the cells are our own
    assert shown == list(NAMES)


def test_the_notebook_has_the_form_of_nbformat() -> None:
    """The fields that nbformat 4.5 requires, and no others; ids are unique."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    for cell in notebook["cells"]:
        fields = CELL_FIELDS if cell["cell_type"] == "code" else CELL_FIELDS[:4]
        assert sorted(cell) == sorted(fields)
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell["id"])
        assert cell["source"]
        assert all(isinstance(line, str) for line in cell["source"])


def test_formulas_become_drawings() -> None:
    """Every formula is drawn in the color of the text, with its source for screen readers."""
    for text in TEXTS.values():
        page = with_formulas(text)
        assert "$$" not in page
        assert page.count('<svg role="img" aria-label="') == len(FORMULA.findall(text))
    drawing = formula("a < b")
    assert 'aria-label="a &lt; b"' in drawing
    assert 'fill="currentColor"' in drawing
    assert "\n" not in drawing  # a blank line would end the block of HTML


def test_an_unknown_command_in_a_formula_is_an_error() -> None:
    """A formula that cannot be drawn fails the build of the site and is not left out."""
    with pytest.raises(ValueError, match="Unknown symbol"):
        formula(r"\nosuchcommand")

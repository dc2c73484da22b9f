"""The commands of the book run, their numbers are those of the book, and its claims are true."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from docs.lecture.__main__ import main
from docs.lecture.book import CHAPTERS
from docs.lecture.drawing import adaptive_svg, drawn
from docs.lecture.museum.exhibits import EXHIBITS
from docs.lecture.pages import FIGURES, numbers_of
from docs.lecture.show import NAMES

pytestmark = pytest.mark.slow

ELEMENT = re.compile(rb'\bid="([^"]+)"')


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_command_gives_the_numbers_of_the_book(name: str, tmp_path: Path) -> None:
    """Pretrained models are measured in full, training runs in a few steps; all claims hold."""
    quick = [] if CHAPTERS[name].stable is None else ["--quick"]
    assert main([name, "--check", "--out", str(tmp_path), *quick]) == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".png", ".json"}


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_figure_is_drawn_from_its_numbers(name: str) -> None:
    """The committed numbers give every claim, and every part of the committed drawing."""
    chapter, numbers = CHAPTERS[name], numbers_of(name)
    assert [claim for claim, true in chapter.claims(numbers).items() if not true] == []
    again = adaptive_svg(drawn(chapter.title, chapter.paint, numbers))
    committed = (FIGURES / f"{name}.svg").read_bytes()
    assert set(ELEMENT.findall(again)) == set(ELEMENT.findall(committed))


def test_figures_are_small_and_follow_light_and_dark() -> None:
    """Each figure has its numbers beside it, is below 100 kB, and has rules for a dark page."""
    assert {path.stem for path in FIGURES.iterdir()} == set(NAMES)
    for name in NAMES:
        svg = (FIGURES / f"{name}.svg").read_bytes()
        assert len(svg) < 100_000, name
        assert b"prefers-color-scheme:dark" in svg, name


@pytest.mark.parametrize("name", EXHIBITS)
def test_an_exhibit_shows_its_symptom(name: str) -> None:
    """The faulty run has the symptom and the cured one has not, in a few steps as well."""
    exhibit = EXHIBITS[name]
    measured = exhibit.measure(True)
    assert exhibit.has_symptom(measured), measured.symptoms
    swapped = {key: (cured, faulty) for key, (faulty, cured) in measured.symptoms.items()}
    assert not exhibit.has_symptom(replace(measured, symptoms=swapped))


def test_a_wrong_number_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """A number beyond its tolerance is named with its place; one within it is accepted."""
    chapter = CHAPTERS["likelihood"]
    numbers = numbers_of("likelihood")
    wrong = json.loads(json.dumps(numbers))
    wrong["terms"][1] *= 1.01
    (message,) = chapter.differences(wrong, numbers)
    assert message.startswith("likelihood: terms.1: ")
    numbers["terms"][1] *= 1.00001
    assert chapter.differences(numbers, numbers_of("likelihood")) == []


def test_the_last_digit_may_be_rounded_to_either_side() -> None:
    """A number that was rounded may differ by one in its last digit, and not by two."""
    chapter, numbers = CHAPTERS["units"], numbers_of("units")
    place = next(n for n, value in enumerate(numbers["values"]) if value == 0.534)
    for value, differences in ((0.533, 0), (0.535, 0), (0.532, 1)):
        numbers["values"][place] = value
        assert len(chapter.differences(numbers, numbers_of("units"))) == differences


def test_quick_numbers_are_not_written_into_the_book(capsys: pytest.CaptureFixture[str]) -> None:
    """--renew is refused with --quick and for a single figure."""
    for arguments in (["all", "--renew", "--quick"], ["keys", "--renew"]):
        with pytest.raises(SystemExit):
            main(arguments)
        assert "--renew: give it with all" in capsys.readouterr().err

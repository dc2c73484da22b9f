"""Measures and draws one figure: for the command line, and for the notebook."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from docs.lecture.book import CHAPTERS, Numbers
from docs.lecture.drawing import drawn
from docs.lecture.museum.exhibits import EXHIBITS
from training.reports.plotting import Plot

NAMES = (*CHAPTERS, *(f"museum-{number}" for number in EXHIBITS))


class Shown(NamedTuple):
    """A figure with its numbers, and whether each claim about them is true."""

    numbers: Numbers
    plot: Plot
    claims: dict[str, bool]


def make(name: str, *, quick: bool = False) -> Shown:
    """Measures and draws the figure ``name`` on one thread.

    Args:
        name: of a page, or ``museum-`` and the number of an exhibit.
        quick: in a few steps; the numbers are not those of the book.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in the same order on every machine; small networks gain nothing
    try:
        if name in CHAPTERS:
            chapter = CHAPTERS[name]
            numbers = chapter.measure(quick)
            plot = drawn(chapter.title, chapter.paint, numbers)
            return Shown(numbers, plot, chapter.claims(numbers))
        exhibit = EXHIBITS[name.removeprefix("museum-")]
        measured = exhibit.measure(quick)
        plot = drawn(exhibit.title, exhibit.paint, measured.record())
        claims = {"run A has the symptom, run B has not": exhibit.has_symptom(measured)}
        return Shown(measured.record(), plot, claims)
    finally:
        torch.set_num_threads(threads)


def show(name: str) -> Any:
    """The figure as a notebook shows it."""
    from IPython.display import Image  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - in notebooks only

    return Image(data=make(name).plot.png)

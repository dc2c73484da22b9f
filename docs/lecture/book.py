"""The table of the book: each page with its command, its figure and what it claims."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any

from docs.lecture.figures import (
    elman,
    encoder,
    gates,
    generation,
    gradients,
    keys,
    likelihood,
    truncation,
    units,
    words,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = dict[str, Any]
PRECISE = 0.001


@dataclass(frozen=True, slots=True)
class Chapter:
    """A page of the book.

    Attributes:
        name: of the page ``docs/lecture/NAME.md`` and of the figure.
        figure: the module with ``TITLE``, ``measure``, ``paint`` and ``claims``.
        product: a command of the product that shows the same of any model. ``{sentence}`` stands
            for the sentence that the default language model was asked.
        stable: relative tolerances of the numbers that a run in a few steps gives as well, by name;
            None for numbers that follow from pretrained weights, which are all measured in full.
    """

    name: str
    figure: ModuleType
    product: str
    stable: Mapping[str, float] | None = None

    @property
    def title(self) -> str:
        """Of the figure."""
        return self.figure.TITLE  # type: ignore[no-any-return]

    @property
    def command(self) -> str:
        """What makes the figure."""
        return f"python -m docs.lecture {self.name}"

    def measure(self, quick: bool) -> Numbers:
        """Computes the numbers; with True in a few steps."""
        return self.figure.measure(quick)  # type: ignore[no-any-return]

    def paint(self, figure: Figure, numbers: Numbers) -> None:
        """Draws the numbers."""
        self.figure.paint(figure, numbers)

    def claims(self, numbers: Numbers) -> dict[str, bool]:
        """Whether each sentence of the page on the numbers is true."""
        return self.figure.claims(numbers)  # type: ignore[no-any-return]

    def differences(self, numbers: Numbers, committed: Numbers) -> list[str]:
        """The numbers that are not within their tolerance of the committed ones."""
        stable = dict.fromkeys(committed, PRECISE) if self.stable is None else self.stable
        return [
            f"{self.name}: {place}"
            for name, tolerance in stable.items()
            for place in _differences(numbers[name], committed[name], tolerance, name)
        ]


def _differences(measured: Any, committed: Any, tolerance: float, place: str) -> list[str]:
    """The places at which values differ. Cells that a short run leaves out are not compared."""
    if isinstance(measured, dict):
        pairs = [(measured[name], committed[name], f"{place}.{name}") for name in measured]
    elif isinstance(measured, list) and len(measured) == len(committed):
        pairs = [
            (*pair, f"{place}.{n}") for n, pair in enumerate(zip(measured, committed, strict=True))
        ]
    elif isinstance(measured, int | float) and isinstance(committed, int | float):
        close = math.isclose(measured, committed, rel_tol=tolerance, abs_tol=_last_digit(committed))
        return [] if close else [f"{place}: {committed} is written, {measured} was measured"]
    else:
        same = measured == committed
        return [] if same else [f"{place}: {committed!r} is written, {measured!r} was measured"]
    return [found for pair in pairs for found in _differences(pair[0], pair[1], tolerance, pair[2])]


def _last_digit(committed: float) -> float:
    """One unit of the last digit, at most 0.001: two processors may round to either side of it."""
    exponent = Decimal(repr(committed)).as_tuple().exponent
    assert isinstance(exponent, int)  # the number is finite
    return 1.01 * 10.0 ** min(exponent, -3)


_ALL = (
    Chapter("words", words, "python -m training words pretrained/english-word war school --random"),
    Chapter(
        "elman",
        elman,
        "python -m training describe pretrained/english-word",
        {"lengths": 0, "recurrent": 0, "window": 0, "layers": 0},
    ),
    Chapter(
        "encoder",
        encoder,
        "python -m training classifier --train train.csv --valid valid.csv --preset lecture "
        "--cell gru --minutes 1 --out models/encoder",
        {"accuracy": 0.2},
    ),
    Chapter("likelihood", likelihood, "python -m training evaluate models/mine --data other.txt"),
    Chapter("generation", generation, "python -m service --models pretrained"),
    Chapter(
        "keys",
        keys,
        'python -m training agreement pretrained/english-word --trace "{sentence}" --words are,is',
        {"default": PRECISE},
    ),
    Chapter(
        "truncation",
        truncation,
        "python -m training lm --train mytext.txt --bptt 3 --minutes 1 --out models/short",
        {"delay": 0, "chance": PRECISE, "accuracy": 0.3, "gradient_at_symbol": 0.05},
    ),
    Chapter(
        "gradients",
        gradients,
        "python -m training gradients --cells elman --radius 4 --out plots/elman",
        {"radii": 0.05},
    ),
    Chapter(
        "gates",
        gates,
        "python -m training gradients --cells gru,lstm,additive,sum --out plots/gates",
        {"flow": 0.05, "tokens": 0},
    ),
    Chapter(
        "units", units, "python -m training units pretrained/shakespeare-char --data mytext.txt"
    ),
)
CHAPTERS = {chapter.name: chapter for chapter in _ALL}

"""The form of an exhibit: a faulty run and a cured one, as curves and symptoms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from training.reports.plotting import BLUE, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One exhibit, measured. ``faulty`` and ``cured`` are the curves of the figure.

    Attributes:
        x: what the horizontal axis counts.
        y: what the curves show.
        first: the number of the first point.
        faulty: the curve of the run with the fault.
        cured: the curve of the run without it.
        symptoms: numbers of both runs by what they measure, the faulty one first.
        logarithmic: whether the vertical axis is.
    """

    x: str
    y: str
    first: int = 0
    faulty: list[float]
    cured: list[float]
    symptoms: dict[str, tuple[float, float]]
    logarithmic: bool = False

    def record(self) -> dict[str, Any]:
        """The fields as values for JSON, with four digits."""
        values = asdict(self)
        for name in ("faulty", "cured"):
            values[name] = [_short(value) for value in values[name]]
        values["symptoms"] = {k: [_short(v) for v in pair] for k, pair in self.symptoms.items()}
        return values


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A failure of the museum.

    Attributes:
        name: what the command takes.
        title: of the figure, which does not tell the cause.
        measure: both runs; with True in a few steps.
        has_symptom: whether the faulty run shows its symptom and the cured one does not.
    """

    name: str
    title: str
    measure: Callable[[bool], Measured]
    has_symptom: Callable[[Measured], bool]

    @property
    def command(self) -> str:
        """What makes the figure."""
        return f"python -m docs.lecture museum-{self.name}"

    def paint(self, figure: Figure, numbers: dict[str, Any]) -> None:
        """Both curves, as runs A and B."""
        axes = figure.subplots()
        draw = axes.semilogy if numbers["logarithmic"] else axes.plot
        for name, label, color, style in (
            ("faulty", "run A", RED, "-"),
            ("cured", "run B", BLUE, "--"),
        ):
            places = range(numbers["first"], numbers["first"] + len(numbers[name]))
            draw(places, numbers[name], style, color=color, label=label)
        axes.set_xlabel(numbers["x"])
        axes.set_ylabel(numbers["y"])
        # Above the axes, since the curves may be anywhere inside.
        axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)


def _short(value: float) -> float:
    return float(f"{value:.4g}")

"""Options of ``python -m training gradients``."""
# ruff: noqa: RUF009 - the calls make fields

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from model.architecture import CELLS
from training.config.options import check_values, option
from training.config.shared_options import (
    column_option,
    count_option,
    header_option,
    seed_option,
    threads_option,
    unit_option,
)
from training.errors import RecipeError

# The additive recurrence h + g(h, x) of the lecture, and the sum h + f(x), which has no h in g.
ADDITIVE, SUM = "additive", "sum"
ANALYZED_CELLS = (*CELLS, ADDITIVE, SUM)
Initialization = Literal["torch", "orthogonal"]
INITIALIZATIONS: tuple[Initialization, ...] = get_args(Initialization)
RADIUS_LIMITS = 1e-3, 1e3
MOST_RADII = 12  # lines of a plot
MAX_EXCERPTS = 100_000  # all are held in memory; more add no digit to a mean


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientRecipe:
    """Options of an analysis. An option that is None depends on what is analyzed."""

    cells: str | None = option(
        None,
        "cells of small networks to train and analyze",
        metavar="A,B,C",
        unset=",".join(ANALYZED_CELLS),
    )
    artifact: tuple[str, ...] = option(
        (), "language models to analyze instead, in one plot; needs --data", metavar="DIR"
    )
    data: tuple[str, ...] = option(
        (), "text to read, as for lm", metavar="FILE", unset="a synthetic text"
    )
    unit: Literal["file", "paragraph", "line"] = unit_option()
    column: str | None = column_option()
    header: bool | None = header_option()

    hidden: int = count_option(64, "hidden size of the small networks")
    embedding: int = count_option(32, "embedding size of the small networks")
    initialization: Initialization = option(
        "torch", "initial weights: those of torch, or orthogonal as for lm"
    )
    steps: int = count_option(800, "training steps of each small network")
    batch: int = count_option(32, "excerpts in each step")
    length: int = count_option(64, "tokens of an excerpt, through which gradients flow back")
    learning_rate: float = option(0.01, "learning rate of Adam", metavar="X", above=0)

    lags: int = count_option(50, "number of steps back for which gradients are measured")
    context: int | None = count_option(None, "longest context", unset="100; 300 with --artifact")
    excerpts: int = count_option(
        512, "number of excerpts over which everything is averaged", at_most=MAX_EXCERPTS
    )

    radii: tuple[float, ...] = option(
        (0.5, 0.8, 1.0, 1.2, 2.0, 4.0),
        "spectral radii of W_h at which the gradient of an untrained Elman network is measured",
        metavar="X",
    )
    radius: float = option(
        2.5, "spectral radius of the Elman network with exploding gradients", metavar="X", above=0
    )
    explosion_steps: int = count_option(200, "training steps of that network")
    explosion_rate: float = option(
        2.0, "learning rate of that network, trained by SGD", metavar="X", above=0
    )
    clip_norm: float = option(1.0, "largest norm of its clipped gradient", metavar="X", above=0)
    clip_value: float = option(
        0.05, "largest absolute value in its clipped gradient", metavar="X", above=0
    )

    threads: int = threads_option(1, "number of threads; small networks gain nothing from more")
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check_values(self)
        if self.artifact and self.cells is not None:
            raise RecipeError("--cells: with --artifact nothing is trained; leave one of them out")
        if self.artifact and not self.data:
            raise RecipeError("--data: give the text for the artifact to read")
        low, high = RADIUS_LIMITS
        if len(self.radii) > MOST_RADII or not all(low <= radius <= high for radius in self.radii):
            raise RecipeError(
                f"--radii: expected at most {MOST_RADII} numbers from {low:g} to {high:g}, "
                f"got {' '.join(map(str, self.radii))}"
            )
        unknown = [name for name in self.chosen_cells if name not in ANALYZED_CELLS]
        if unknown or not self.chosen_cells:
            raise RecipeError(
                f"--cells: expected some of {','.join(ANALYZED_CELLS)} with commas between, "
                f"got {self.cells!r}"
            )

    @property
    def chosen_cells(self) -> tuple[str, ...]:
        """The cells of ``cells``, each once; all cells if that is None."""
        if self.cells is None:
            return ANALYZED_CELLS
        return tuple(dict.fromkeys(name.strip() for name in self.cells.split(",")))

    @property
    def initialized_cells(self) -> tuple[str, ...]:
        """The chosen cells to which ``initialization`` makes a difference."""
        return tuple(name for name in self.chosen_cells if name in CELLS)

    @property
    def longest_context(self) -> int:
        """The longest context in tokens."""
        return self.context or (300 if self.artifact else 100)

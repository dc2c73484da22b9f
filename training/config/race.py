"""Options of ``python -m training race``."""
# ruff: noqa: RUF009 - the calls make fields

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.config.gradients import ANALYZED_CELLS, SUM, Initialization
from training.config.options import check_values, option
from training.config.shared_options import (
    clip_norm_option,
    count_option,
    json_option,
    out_option,
    seed_option,
    threads_option,
)
from training.errors import RecipeError

RACING_CELLS = tuple(cell for cell in ANALYZED_CELLS if cell != SUM)
MAX_DISTANCE = 1000
MOST_DISTANCES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceRequest:
    """Options of ``race``."""

    distance: int = count_option(10, "steps from the symbol to its question", at_most=MAX_DISTANCE)
    distances: str | None = option(
        None,
        "several distances, one race after the other, with a table of where each cell gives up",
        metavar="N,N,...",
        unset="that of --distance",
    )
    cells: str = option(
        ",".join(RACING_CELLS), f"cells, of {','.join(ANALYZED_CELLS)}", metavar="A,B,..."
    )
    hidden: int = count_option(32, "hidden size", at_most=1024)
    embedding: int = count_option(16, "embedding size", at_most=1024)
    initialization: Initialization = option(
        "torch", "initial weights: those of torch, or orthogonal with forget bias 1, as for lm"
    )
    mixed: bool = option(
        False, "train on every distance up to the given one, which is easier, not on it alone"
    )
    seconds: float = option(
        50.0,
        "time of a race, after which it ends with the next measurement",
        metavar="X",
        above=0,
    )
    steps: int = count_option(20_000, "training steps of each cell at most")
    every: int = count_option(50, "training steps between two measurements")
    batch: int = count_option(32, "rows in each step", at_most=4096)
    learning_rate: float = option(0.01, "learning rate of Adam", metavar="X", above=0)
    clip_norm: float = clip_norm_option(1.0)
    threads: int = threads_option(1, "number of threads; small networks gain nothing from more")
    seed: int = seed_option()
    json: Path | None = json_option()
    out: Path | None = out_option()

    def __post_init__(self) -> None:
        check_values(self)
        unknown = [name for name in self.chosen_cells if name not in ANALYZED_CELLS]
        if unknown or not self.chosen_cells:
            raise RecipeError(
                f"--cells: expected some of {','.join(ANALYZED_CELLS)} with commas between, "
                f"got {self.cells!r}"
            )
        _ = self.chosen_distances

    @property
    def chosen_cells(self) -> tuple[str, ...]:
        """The cells, each once."""
        return tuple(dict.fromkeys(name.strip() for name in self.cells.split(",")))

    @property
    def chosen_distances(self) -> tuple[int, ...]:
        """The distances, ascending, each once.

        Raises:
            RecipeError: they are not whole numbers in range, or too many.
        """
        if self.distances is None:
            return (self.distance,)
        parts = [part.strip() for part in self.distances.split(",")]
        numbers = sorted({int(part) for part in parts if part.isascii() and part.isdigit()})
        in_range = all(1 <= number <= MAX_DISTANCE for number in numbers)
        if not all(part.isascii() and part.isdigit() for part in parts) or not in_range:
            raise RecipeError(
                f"--distances: expected whole numbers from 1 to {MAX_DISTANCE} with commas "
                f"between, got {self.distances!r}"
            )
        if len(numbers) > MOST_DISTANCES:
            raise RecipeError(
                f"--distances: expected at most {MOST_DISTANCES} numbers, got {len(numbers)}"
            )
        return tuple(numbers)

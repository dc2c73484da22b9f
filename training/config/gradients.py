"""The options of ``python -m training gradients``. Knows no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from model.architecture import CELLS
from training.config.options import check_values, option
from training.errors import RecipeError

MOST_EXCERPTS = 100_000  # all are held in memory; more add no digit to a mean


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientRecipe:
    """What is looked into, and how closely. None: as fits what is looked into."""

    cells: str | None = option(
        None, "small networks to train and look into, of elman, gru and lstm", metavar="A,B,C"
    )
    artifact: str | None = option(
        None, "look into this language model instead; needs --data", metavar="DIR"
    )
    data: tuple[str, ...] = option((), "text to read, as for lm; without it a text is made up")
    unit: Literal["file", "paragraph", "line"] = option("file", "what a document is in a text file")
    column: str | None = option(
        None, "the column that holds the text of records, by name or by number from 1"
    )
    header: bool | None = option(
        None, "whether the first row of .csv and .tsv files names the columns (as it looks)"
    )

    hidden: int = option(64, "width of the small networks", metavar="N")
    embedding: int = option(32, "width of their tokens' vectors", metavar="N")
    initialization: Literal["torch", "orthogonal"] = option(
        "torch", "how they begin: as torch has it, or orthogonal, as lm begins"
    )
    steps: int = option(800, "how many steps each is trained", metavar="N")
    batch: int = option(32, "excerpts read in each step", metavar="N")
    length: int = option(64, "tokens of each, through which gradients flow back", metavar="N")
    learning_rate: float = option(0.01, "of Adam", metavar="X")

    lags: int = option(50, "how many steps back gradients are followed", metavar="N")
    context: int | None = option(
        None, "the longest context; 100 for small networks, 300 for an artifact", metavar="N"
    )
    excerpts: int = option(512, "pieces of text over which everything is averaged", metavar="N")

    radius: float = option(2.0, "spectral radius of the Elman network that explodes", metavar="X")
    explosion_steps: int = option(200, "how many steps it is trained", metavar="N")
    explosion_rate: float = option(0.5, "its learning rate, of plain descent", metavar="X")
    clip_norm: float = option(1.0, "gradients are scaled down to this norm", metavar="X")
    clip_value: float = option(0.05, "or each of their numbers is cut off at this", metavar="X")

    threads: int = option(
        1, "processor threads; small networks gain nothing from more", metavar="N"
    )
    seed: int = option(1, "decides all numbers", metavar="N")

    def __post_init__(self) -> None:
        check_values(self)
        for name in POSITIVE:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise RecipeError(f"{_flag(name)}: expected more than 0, got {value}")
        if self.excerpts > MOST_EXCERPTS:
            raise RecipeError(
                f"--excerpts: expected at most {MOST_EXCERPTS:,}, got {self.excerpts:,}"
            )
        if self.seed < 0:
            raise RecipeError(f"--seed: expected 0 or more, got {self.seed}")
        if self.artifact is not None and self.cells is not None:
            raise RecipeError("--cells: with --artifact nothing is trained; leave one of them out")
        if self.artifact is not None and not self.data:
            raise RecipeError("--data: give the text that the artifact is to read")
        unknown = [name for name in self.chosen_cells if name not in CELLS]
        if unknown or not self.chosen_cells:
            raise RecipeError(
                f"--cells: expected some of {','.join(CELLS)} with commas between, "
                f"got {self.cells!r}"
            )

    @property
    def chosen_cells(self) -> tuple[str, ...]:
        """Those asked for, each once; all where none are."""
        if self.cells is None:
            return CELLS
        return tuple(dict.fromkeys(name.strip() for name in self.cells.split(",")))

    @property
    def longest_context(self) -> int:
        return self.context or (100 if self.artifact is None else 300)


POSITIVE = (
    "hidden",
    "embedding",
    "steps",
    "batch",
    "length",
    "learning_rate",
    "lags",
    "context",
    "excerpts",
    "radius",
    "explosion_steps",
    "explosion_rate",
    "clip_norm",
    "clip_value",
    "threads",
)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")

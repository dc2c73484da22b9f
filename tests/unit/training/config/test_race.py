"""Options of the race."""

from __future__ import annotations

import pytest

from training.config.race import RaceRequest
from training.errors import RecipeError


def test_distances_are_ascending_and_take_precedence() -> None:
    """Without them the one distance counts."""
    assert RaceRequest(distance=7).chosen_distances == (7,)
    assert RaceRequest(distances="20, 5,20").chosen_distances == (5, 20)


@pytest.mark.parametrize("text", ["", "5,", "0", "1001", "a", "-3", "1.5", "²"])
def test_other_distances_are_refused(text: str) -> None:
    """The message names the option."""
    with pytest.raises(RecipeError, match="--distances: expected whole numbers"):
        RaceRequest(distances=text)


def test_too_many_distances_and_unknown_cells_are_refused() -> None:
    """The message has the limit and the names."""
    with pytest.raises(RecipeError, match="at most 12 numbers, got 13"):
        RaceRequest(distances=",".join(map(str, range(1, 14))))
    with pytest.raises(RecipeError, match="--cells: expected some of elman,gru"):
        RaceRequest(cells="elman,transformer")

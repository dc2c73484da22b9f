"""The one-cycle schedule and the budget of a run."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.optimization.schedule import Budget, OneCycle

CYCLE = OneCycle(peak=2.0, warm_up=0.25, first=0.1, last=0.01)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_a_hundredth() -> None:
    """The learning rate has its values at the start, the peak and the end."""
    assert CYCLE.learning_rate(0.0) == pytest.approx(0.2)
    assert CYCLE.learning_rate(0.25) == pytest.approx(2.0)
    assert CYCLE.learning_rate(1.0) == pytest.approx(0.02)


def test_momentum_moves_the_other_way() -> None:
    """Momentum is high where the learning rate is low."""
    assert CYCLE.momentum(0.0) == pytest.approx(0.8)
    assert CYCLE.momentum(0.25) == pytest.approx(0.7)
    assert CYCLE.momentum(1.0) == pytest.approx(0.8)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_cycle_has_one_top(first: float, other: float) -> None:
    """The learning rate rises up to the end of the warm-up and falls after it."""
    early, late = sorted((first, other))
    if late <= CYCLE.warm_up:
        assert CYCLE.learning_rate(early) <= CYCLE.learning_rate(late) + 1e-12
    if early >= CYCLE.warm_up:
        assert CYCLE.learning_rate(early) >= CYCLE.learning_rate(late) - 1e-12


def test_no_warm_up_begins_at_the_peak() -> None:
    """A warm-up of 0 begins at the peak."""
    assert OneCycle(peak=1.0, warm_up=0.0).learning_rate(0.0) == 1.0


@given(seconds=st.floats(0, 1e6), begin=st.floats(0, 100), reserve=st.floats(0, 100))
def test_time_before_and_after_training_is_not_of_the_cycle(
    seconds: float, begin: float, reserve: float
) -> None:
    """A time budget is 0 at the first step and 1 where the reserve begins."""
    budget = Budget(seconds=300.0)

    def progress(at: float) -> float:
        return budget.progress(seconds=at, steps=0, epochs=0, begin=begin, reserve=reserve)

    assert 0.0 <= progress(seconds) <= 1.0
    assert progress(begin) == 0.0
    assert progress(300.0 - reserve) == pytest.approx(1.0)


def test_a_budget_smaller_than_what_is_kept_is_used_up() -> None:
    """A time budget without time is used up at once."""
    budget = Budget(seconds=5.0)
    assert budget.progress(seconds=0.0, steps=0, epochs=0, begin=3.0, reserve=3.0) == 1.0


def test_steps_and_epochs_count_instead_of_time() -> None:
    """Steps and epochs count whatever time they take."""
    assert Budget(steps=10).progress(seconds=1e9, steps=5, epochs=9) == 0.5
    assert Budget(epochs=4).progress(seconds=1e9, steps=5, epochs=1.0) == 0.25
    assert Budget(steps=10).progress(seconds=0, steps=11, epochs=0) == 1.0


@pytest.mark.parametrize(
    "amounts", [{}, {"steps": 0}, {"seconds": 1.0, "steps": 1}, {"seconds": math.inf}]
)
def test_a_budget_is_one_positive_amount(amounts: dict[str, float]) -> None:
    """A budget is one positive number."""
    with pytest.raises(ValueError, match="one positive number"):
        Budget(**amounts)  # type: ignore[arg-type]

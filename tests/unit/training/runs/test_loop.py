"""The order of steps and evaluations, whatever each of them takes of the budget."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from training.runs.loop import train


@dataclass
class Told:
    """A run that only tells what it was asked for; each act takes a share of the budget."""

    step_takes: float
    evaluation_takes: float
    used: float = 0.0
    evaluated: int = 0
    done: str = ""

    def progress(self) -> float:
        return min(1.0, self.used)

    def finished(self, progress: float) -> bool:
        return progress >= 1.0

    def step(self, progress: float) -> None:  # noqa: ARG002
        self.done += "s"
        self.used += self.step_takes

    def evaluation_due(self, progress: float) -> bool:
        return progress * 10 >= self.evaluated + 1

    def evaluation_missing(self, progress: float) -> bool:  # noqa: ARG002
        return True

    def evaluate(self, progress: float) -> float:
        self.evaluated = max(self.evaluated + 1, int(progress * 10))
        self.done += "e"
        self.used += self.evaluation_takes
        return progress


@given(step=st.floats(0.005, 2.0), evaluation=st.floats(0.0, 2.0))
def test_no_weights_are_measured_twice(step: float, evaluation: float) -> None:
    """Between two evaluations there is a step, and the last weights are measured."""
    run = Told(step, evaluation)
    assert train(run, on_evaluation=lambda *_: None, on_step=lambda _: False)
    assert "ee" not in run.done
    assert run.done.startswith("s")
    assert run.done.endswith("e")


def test_a_run_can_be_broken_off_between_two_steps() -> None:
    """What is asked before a step keeps it from being made."""
    run = Told(0.01, 0.0)
    assert not train(run, on_evaluation=lambda *_: None, on_step=lambda _: len(run.done) >= 3)
    assert run.done == "sss"

"""The order of steps and evaluations, whatever share of the budget each of them takes."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from training.runs.loop import training_loop


@dataclass
class RecordedRun:
    """A run that records its steps and evaluations; each takes a share of the budget."""

    step_takes: float
    evaluation_takes: float
    used: float = 0.0
    evaluations: int = 0
    acts: str = ""  # s for a step, e for an evaluation

    def progress(self) -> float:
        return min(1.0, self.used)

    def is_finished(self, progress: float) -> bool:
        return progress >= 1.0

    def step(self, progress: float) -> None:  # noqa: ARG002
        self.acts += "s"
        self.used += self.step_takes

    def is_evaluated(self) -> bool:
        return self.acts.endswith("e")

    def evaluation_due(self, progress: float) -> bool:
        return progress * 10 >= self.evaluations + 1 and not self.is_evaluated()

    def evaluate(self, progress: float) -> float:
        self.evaluations = max(self.evaluations + 1, int(progress * 10))
        self.acts += "e"
        self.used += self.evaluation_takes
        return progress


@given(step=st.floats(0.005, 2.0), evaluation=st.floats(0.0, 2.0))
def test_no_weights_are_evaluated_twice(step: float, evaluation: float) -> None:
    """Between two evaluations there is a step, and the last weights are evaluated."""
    run = RecordedRun(step, evaluation)
    assert training_loop(run, on_evaluation=lambda *_: None, before_step=lambda _: True)
    assert "ee" not in run.acts
    assert run.acts.startswith("s")
    assert run.acts.endswith("e")


def test_a_run_can_be_stopped_between_two_steps() -> None:
    """The callback before a step prevents that step."""
    run = RecordedRun(0.01, 0.0)
    assert not training_loop(
        run, on_evaluation=lambda *_: None, before_step=lambda _: len(run.acts) < 3
    )
    assert run.acts == "sss"

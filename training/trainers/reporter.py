"""The progress bar, the lines and the log of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from training.optimization.clipping import zero_gradient_warning
from training.runs.directory import FINAL_EVENT, TRAINING_EVENT, VALIDATION_EVENT, RunDirectory
from training.runs.progress import Progress, format_duration
from training.runs.tensorboard import TensorBoardLog
from training.trainers.task import MeasuredModel
from training.trainers.trainer import EvaluationResult, Trainer

LOG_INTERVAL = 5.0  # seconds
THROUGHPUT_WINDOW = 5.0  # seconds over which tokens per second are averaged


class Reporter:
    """Shows the progress of a run on standard error, and writes its log.

    Args:
        trainer: of the run; is not changed.
        directory: of the run.
        board: receives the same figures as the log.
    """

    def __init__(self, trainer: Trainer, directory: RunDirectory, board: TensorBoardLog) -> None:
        self._trainer = trainer
        self._directory = directory
        self._board = board
        self._bar = Progress(trainer.task.recipe.name or trainer.task.command)
        self._window_start = time.monotonic()
        self._window_tokens = trainer.state.tokens
        self._throughput = math.nan  # tokens per second
        self._logged_at = -math.inf

    def introduce(self) -> None:
        """Describes data and network."""
        for line in self._trainer.task.describe():
            self.note(line)
        state = self._trainer.state
        if state.steps > 0:
            self.note(f"resumed at step {state.steps:,}, after {format_duration(state.seconds)}")

    def stepped(self, progress: float) -> None:
        """Updates the bar, and logs the figures every LOG_INTERVAL."""
        state, now = self._trainer.state, time.monotonic()
        if now - self._window_start >= THROUGHPUT_WINDOW:
            self._throughput = (state.tokens - self._window_tokens) / (now - self._window_start)
            self._window_start, self._window_tokens = now, state.tokens
        if state.steps == 0:
            return
        figures = self._trainer.task.step_figures(state.smoothed) | {"tokens/s": self._throughput}
        shown = {name: value for name, value in figures.items() if not math.isnan(value)}
        self._bar.update(progress, seconds_left=self._seconds_left(progress), figures=shown)
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            figures["gradient_norm"] = self._trainer.gradient_norm
            self._log(TRAINING_EVENT, {**self._schedule(progress), **figures})

    def evaluated(self, result: EvaluationResult, progress: float) -> None:
        """Reports an evaluation; a star marks those that became the best."""
        averaged = ", averaged weights" if result.averaged else ""
        star = " *" if result.is_record else ""
        state = self._trainer.state
        self.note(
            f"{progress:4.0%}  {format_duration(state.seconds):>7}  step {result.step:,}: "
            f"{result.evaluation.summary()}{averaged}{star}"
        )
        if state.zero_gradient_steps > 0:
            self.note(zero_gradient_warning(state.zero_gradient_steps))
        self._log(VALIDATION_EVENT, {**self._schedule(progress), **result.evaluation.figures()})

    def conclude(self, model: MeasuredModel) -> None:
        """Reports the final measurements."""
        state = self._trainer.state
        self.note(
            f"done after {format_duration(self._trainer.seconds())}, {state.epochs:.2f} epochs: "
            f"{self._trainer.reason_to_stop()}; the weights of step {state.best_step:,} are kept"
        )
        for line in model.summary:
            self.note(line)
        self.note(f"the artifact is in {self._directory.artifact}")
        self._log(FINAL_EVENT, model.metrics)

    def note(self, text: str) -> None:
        """Writes a line above the bar."""
        self._bar.note(text)

    def close(self) -> None:
        """Removes the bar and closes the log of TensorBoard."""
        self._bar.close()
        self._board.close()

    def _seconds_left(self, progress: float) -> float | None:
        """The estimate of the bar; exact where only time ends the run."""
        if self._trainer.settings.budget is None:
            return self._trainer.seconds_left()
        seconds = self._trainer.state.seconds
        return seconds * (1.0 - progress) / progress if progress > 0 else None

    def _schedule(self, progress: float) -> dict[str, float]:
        learning_rate = self._trainer.settings.schedule.learning_rate(progress)
        return {"progress": progress, "learning_rate": learning_rate}

    def _log(self, event: str, figures: Mapping[str, float]) -> None:
        """Appends to the log. NaN and infinity become null, since JSON has neither."""
        state = self._trainer.state
        finite = {name: v if math.isfinite(v) else None for name, v in figures.items()}
        place = {"step": state.steps, "epoch": state.epochs, "seconds": state.seconds}
        self._directory.append({"event": event, **place, **finite})
        self._board.add(event, state.steps, figures)

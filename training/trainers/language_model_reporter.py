"""What a language model run tells: a bar and lines for the person, a log for programs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from model.networks import LanguageModel
from training.config.language_model import LanguageModelRecipe
from training.evaluation.metric_names import format_loss, format_perplexity
from training.optimization.clipping import still_warning
from training.runs.directory import FINAL_EVENT, TRAINING_EVENT, VALIDATION_EVENT, RunDirectory
from training.runs.progress import Progress, format_duration
from training.runs.tensorboard import TensorBoardLog
from training.trainers.language_model import Evaluation, LanguageModelRun

LOG_EVERY = 5.0  # seconds
PACE = 5.0  # seconds over which tokens per second are measured


class RunReport:
    """Watches a run and writes about it; changes nothing."""

    def __init__(
        self,
        run: LanguageModelRun,
        directory: RunDirectory,
        recipe: LanguageModelRecipe,
        board: TensorBoardLog,
    ) -> None:
        self._run = run
        self._board = board
        self._directory = directory
        self._recipe = recipe
        self._bar = Progress(recipe.name or "lm")
        self._marked = time.monotonic()
        self._marked_tokens = run.position.tokens
        self._pace = math.nan
        self._logged = 0.0

    def introduce(self, network: LanguageModel, *, train: int, valid: int, unknown: float) -> None:
        """Says what is about to be trained."""
        recipe, a = self._recipe, network.architecture
        parameters = sum(parameter.numel() for parameter in network.parameters())
        self.note(
            f"{train:,} tokens to train on, {valid:,} to validate on "
            f"({unknown:.2%} unknown), vocabulary {a.vocabulary:,} ({recipe.tokenizer})"
        )
        self.note(
            f"{a.cell} {a.layers}x{a.hidden}, embedding {a.embedding}, "
            f"{'tied' if a.tied else 'untied'}, {parameters:,} parameters, {recipe.precision}, "
            f"softmax {recipe.softmax}, batch {recipe.batch}, bptt {recipe.bptt}, "
            f"learning rate {recipe.learning_rate}"
        )
        at = self._run.position
        if at.steps > 0:
            self.note(f"resumed at step {at.steps:,}, after {format_duration(at.seconds)}")

    def stepped(self, progress: float) -> None:
        """Shows and, now and then, logs how training goes."""
        at, now = self._run.position, time.monotonic()
        if now - self._marked >= PACE:
            self._pace = (at.tokens - self._marked_tokens) / (now - self._marked)
            self._marked, self._marked_tokens = now, at.tokens
        figures = {"loss": at.loss, "perplexity": _exp(at.loss), "tokens/s": self._pace}
        shown = {name: value for name, value in figures.items() if not math.isnan(value)}
        self._bar.update(progress, seconds_left=self._seconds_left(progress), figures=shown)
        if now - self._logged >= LOG_EVERY and at.steps > 0:
            self._logged = now
            figures["gradient_norm"] = self._run.gradient_norm
            self._log(TRAINING_EVENT, {"progress": progress, **self._rate(progress), **figures})

    def evaluated(self, found: Evaluation, progress: float) -> None:
        """Tells the result of an evaluation."""
        kind = ", averaged weights" if found.averaged else ""
        mark = " *" if found.better else ""
        self.note(
            f"{progress:4.0%}  {format_duration(self._run.position.seconds):>7}  "
            f"step {found.step:,}: validation loss {format_loss(found.loss)}, perplexity "
            f"{format_perplexity(_exp(found.loss))}{kind}{mark}"
        )
        self._warn_of_stillness()
        figures = {"loss": found.loss, "perplexity": _exp(found.loss), "progress": progress}
        self._log(VALIDATION_EVENT, {**figures, **self._rate(progress)})

    def conclude(self, metrics: Mapping[str, float]) -> None:
        """Tells what came of it."""
        at = self._run.position
        self.note(
            f"done after {format_duration(self._run_seconds())}, {at.epochs:.2f} epochs; best at "
            f"step {at.best_step:,}. Validation: loss {format_loss(metrics['validation_loss'])}, "
            f"perplexity {format_perplexity(metrics['validation_perplexity'])}, "
            f"{_bits_per_character(metrics)}"
            f"over {metrics['validation_tokens']:,} tokens"
        )
        guessing = self._run.settings.guessing
        if metrics["validation_loss"] >= guessing:
            self.note(
                "warning: the model is no better than guessing each token by its frequency (loss "
                f"{format_loss(guessing)}); train for longer, or with another --learning-rate"
            )
        self.note(f"the artifact is in {self._directory.artifact}")
        self._log(FINAL_EVENT, metrics)

    def note(self, text: str) -> None:
        """Writes a line that stays."""
        self._bar.note(text)

    def _warn_of_stillness(self) -> None:
        if (still := self._run.position.still) > 0:
            self.note(still_warning(still))

    def _run_seconds(self) -> float:
        return self._run.seconds()

    def _seconds_left(self, progress: float) -> float | None:
        if self._recipe.minutes is not None:
            return self._recipe.minutes * 60.0 - self._run.position.seconds
        return self._run.position.seconds * (1 - progress) / progress if progress > 0 else None

    def _rate(self, progress: float) -> dict[str, float]:
        return {"learning_rate": self._run.settings.cycle.learning_rate(progress)}

    def _log(self, event: str, figures: Mapping[str, float]) -> None:
        at = self._run.position
        finite = {n: v if math.isfinite(v) else None for n, v in figures.items()}
        where = {"event": event, "step": at.steps, "epoch": at.epochs, "seconds": at.seconds}
        self._directory.append({**where, **finite})
        self._board.add(event, at.steps, figures)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._board.close()


def _bits_per_character(metrics: Mapping[str, float]) -> str:
    bits = metrics.get("validation_bits_per_character")
    if bits is None:  # so much is unknown that it would mean nothing
        return ""
    too_low = " (too low: the spelling of unknown words is not counted)"
    return f"{bits:.4f} bits per character{too_low * (metrics['validation_unknown_share'] > 0)}, "


def _exp(loss: float) -> float:
    return math.exp(min(loss, 700.0))

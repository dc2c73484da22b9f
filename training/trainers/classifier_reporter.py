"""What a classifier run tells: a bar and lines for the person, a log for programs."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from model.networks import Classifier
from training.config.classifier import ClassifierRecipe
from training.data.examples import OUT_OF_SCOPE_INDEX
from training.evaluation.classifier import Predictions
from training.evaluation.metric_names import format_loss
from training.optimization.clipping import still_warning
from training.runs.directory import FINAL_EVENT, TRAINING_EVENT, VALIDATION_EVENT, RunDirectory
from training.runs.progress import Progress, format_duration
from training.runs.tensorboard import TensorBoardLog
from training.trainers.classifier import ClassifierRun, Evaluation

LOG_EVERY = 5.0  # seconds
PACE = 5.0  # seconds over which tokens per second are measured


class RunReport:
    """Watches a run and writes about it; changes nothing."""

    def __init__(
        self,
        run: ClassifierRun,
        directory: RunDirectory,
        recipe: ClassifierRecipe,
        board: TensorBoardLog,
    ) -> None:
        self._run = run
        self._board = board
        self._directory = directory
        self._recipe = recipe
        self._bar = Progress(recipe.name or "classifier")
        self._marked = time.monotonic()
        self._marked_tokens = run.position.tokens
        self._pace = math.nan
        self._logged = 0.0

    def introduce(self, network: Classifier, *, unknown: float, known_vectors: int | None) -> None:
        """Says what is about to be trained."""
        recipe, a, settings = self._recipe, network.architecture, self._run.settings
        parameters = sum(parameter.numel() for parameter in network.parameters())
        vectors = "" if known_vectors is None else f", {known_vectors:,} from --vectors"
        self.note(
            f"{len(settings.train):,} documents to train on, {len(settings.valid):,} to validate "
            f"on ({unknown:.2%} of their tokens unknown), {a.labels} labels, "
            f"vocabulary {a.vocabulary:,} ({recipe.tokenizer}{vectors})"
        )
        self.note(
            f"{'bidirectional ' if a.bidirectional else ''}{a.cell} {a.layers}x{a.hidden}, "
            f"embedding {a.embedding}, pooling {a.pooling}, head {a.mlp}, {_beside(recipe)}"
            f"{parameters:,} parameters, {recipe.precision}; at most {recipe.epochs:g} epochs"
            + (f" or {recipe.minutes:g} min" if recipe.minutes is not None else "")
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
        if at.loss is None:
            return
        figures = {"loss": at.loss, "accuracy": at.accuracy, "tokens/s": self._pace}
        shown = _numbers(figures)
        left = at.seconds * (1.0 - progress) / progress if progress > 0 else None
        self._bar.update(progress, seconds_left=left, figures=shown)
        if now - self._logged >= LOG_EVERY:
            self._logged = now
            norm = _numbers({"gradient_norm": self._run.gradient_norm})
            self._log(
                TRAINING_EVENT, {"progress": progress, **self._rate(progress), **shown, **norm}
            )

    def evaluated(self, found: Evaluation, progress: float) -> None:
        """Tells the result of an evaluation."""
        mark = " *" if found.kept else ""
        self.note(
            f"{progress:4.0%}  {format_duration(self._run.position.seconds):>7}  "
            f"step {found.step:,}: validation accuracy {found.accuracy:.4f}, "
            f"loss {format_loss(found.loss)}{mark}"
        )
        if (still := self._run.position.still) > 0:
            self.note(still_warning(still))
        figures = {"accuracy": found.accuracy, "loss": found.loss, "progress": progress}
        self._log(VALIDATION_EVENT, {**figures, **self._rate(progress)})

    def conclude(
        self, metrics: Mapping[str, float], predictions: Predictions, labels: Sequence[str]
    ) -> None:
        """Tells what came of it, and which labels are taken for which in ``predictions``."""
        at = self._run.position
        self.note(
            f"done after {format_duration(at.seconds)}, {at.epochs:.2f} epochs; kept is step "
            f"{at.kept_step:,}"
        )
        for split in ("validation", "test"):
            if f"{split}_accuracy" in metrics:
                self.note(
                    f"{split}: accuracy {metrics[f'{split}_accuracy']:.4f}, "
                    f"macro F1 {metrics[f'{split}_macro_f1']:.4f}, calibration error "
                    f"{metrics[f'{split}_calibration_error']:.4f} "
                    f"({metrics[f'{split}_calibration_error_before']:.4f} before calibration)"
                )
        self._warn_of_chance(metrics["validation_accuracy"], labels)
        mistakes = predictions.confusions(5)
        if mistakes:
            told = (f"{labels[t]} for {labels[c]} ({n})" for t, c, n in mistakes)
            self.note(f"most often mistaken, truth for answer: {', '.join(told)}")
        self.note(f"the artifact is in {self._directory.artifact}")
        self._log(FINAL_EVENT, metrics)

    def note(self, text: str) -> None:
        """Writes a line that stays."""
        self._bar.note(text)

    def _warn_of_chance(self, accuracy: float, labels: Sequence[str]) -> None:
        """Where one answer for all documents would be as good."""
        valid = self._run.settings.valid.labels
        label, count = Counter(at for at in valid if at != OUT_OF_SCOPE_INDEX).most_common(1)[0]
        share = count / sum(at != OUT_OF_SCOPE_INDEX for at in valid)
        if round(accuracy, 6) <= round(share, 6):
            self.note(
                f"warning: the model is no better than the answer {labels[label]!r} to every "
                f"document (accuracy {share:.4f}); train for longer, with more examples, or with "
                "another --learning-rate"
            )

    def _rate(self, progress: float) -> dict[str, float]:
        return {"learning_rate": self._run.settings.cycle.learning_rate(progress)}

    def _log(self, event: str, figures: Mapping[str, float]) -> None:
        at = self._run.position
        where = {"event": event, "step": at.steps, "epoch": at.epochs, "seconds": at.seconds}
        self._directory.append({**where, **figures})
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


def _beside(recipe: ClassifierRecipe) -> str:
    longest = recipe.linear_ngrams
    return f"linear over runs of 1 to {longest}, " if longest else ""


def _numbers(figures: Mapping[str, float]) -> dict[str, float]:
    """Those that are known yet."""
    return {name: value for name, value in figures.items() if not math.isnan(value)}

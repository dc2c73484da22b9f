"""Where a classifier errs: label by label, pair by pair, and on which documents it errs most.

Does not know files, networks or plots. Shapes: B documents, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from model.calibration import Calibration
from training.evaluation.calibration import ConfidenceBin, reliability
from training.evaluation.classifier import Predictions
from training.evaluation.out_of_scope_results import OutOfScopeFindings, out_of_scope_findings
from training.evaluation.top_errors import WrongDocument, most_wrong
from training.readers.documents import Example
from training.runs.history import History


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How one label fares; ``documents`` are those that truly have it, ``answers`` those given."""

    label: str
    documents: int
    answers: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """So many documents of the label ``truth`` were given ``answer``."""

    truth: str
    answer: str
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierFindings:
    """What was found about one classifier on labeled documents. Lists are worst first."""

    figures: dict[str, float]
    calibration: Calibration
    labels: list[LabelScore]
    confusions: list[Confusion]
    before: list[ConfidenceBin]
    after: list[ConfidenceBin]
    wrong: list[WrongDocument]
    out_of_scope: OutOfScopeFindings | None
    history: History | None

    def details(self) -> dict[str, Any]:
        """As plain values."""
        history = {} if self.history is None else {"training_curves": self.history.record()}
        beyond = {} if self.out_of_scope is None else {"out_of_scope": self.out_of_scope.record()}
        return {
            "calibration": asdict(self.calibration),
            "labels": [asdict(score) for score in self.labels],
            "confusions": [asdict(confusion) for confusion in self.confusions],
            "reliability_before": [asdict(part) for part in self.before],
            "reliability": [asdict(part) for part in self.after],
            "most_wrong": [asdict(document) for document in self.wrong],
            **beyond,
            **history,
        }


def findings(
    predictions: Predictions,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    calibration: Calibration,
    history: History | None,
) -> ClassifierFindings:
    """Looks into the predictions for ``examples``, which stand in the same order.

    ``labels`` are those of the answers, out of scope included where that is one.
    """
    before, after = _before_and_after(predictions, calibration)
    mistakes = after.confusions(len(examples))
    return ClassifierFindings(
        figures=figures(predictions, calibration),
        calibration=calibration,
        labels=_label_scores(after, labels),
        confusions=[Confusion(labels[t], labels[c], count) for t, c, count in mistakes],
        before=reliability(before.logits_BC.exp(), before.labels_B),
        after=reliability(after.logits_BC.exp(), after.labels_B),
        wrong=most_wrong(after, examples, labels),
        out_of_scope=out_of_scope_findings(predictions, examples, labels, calibration),
        history=history,
    )


def figures(predictions: Predictions, calibration: Calibration) -> dict[str, float]:
    """The figures of a table, by name."""
    before, after = _before_and_after(predictions, calibration)
    found = {
        "accuracy": after.accuracy,
        "macro_f1": after.macro_f1(),
        "loss": before.loss,
        "calibration_error_before": before.calibration_error(),
        "calibration_error": after.calibration_error(),
        "documents": len(after.labels_B),
    }
    return found | predictions.out_of_scope(calibration)


def _before_and_after(
    predictions: Predictions, calibration: Calibration
) -> tuple[Predictions, Predictions]:
    """What is answered without a temperature and with it; what is out of scope is so in both."""
    before = replace(calibration, temperature=1.0)
    return predictions.answered(before), predictions.answered(calibration)


def _label_scores(predictions: Predictions, labels: Sequence[str]) -> list[LabelScore]:
    """Labels that occur or are answered, lowest F1 first."""
    choices_B = predictions.logits_BC.argmax(dim=1)
    right_B = choices_B == predictions.labels_B
    true, chosen, right = (
        torch.bincount(values_N, minlength=len(labels)).tolist()
        for values_N in (predictions.labels_B, choices_B, choices_B[right_B])
    )
    scores = [
        LabelScore(
            label,
            documents=t,
            answers=c,
            precision=r / max(1, c),
            recall=r / max(1, t),
            f1=2 * r / (t + c),
        )
        for label, t, c, r in zip(labels, true, chosen, right, strict=True)
        if t + c > 0
    ]
    return sorted(scores, key=lambda score: score.f1)

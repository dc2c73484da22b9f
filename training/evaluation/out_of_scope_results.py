"""Results on texts out of scope: error rates at every threshold, and the top errors of both kinds.

Shapes: B documents, A answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model.calibration import Calibration
from training.data.examples import OUT_OF_SCOPE_INDEX
from training.evaluation.classifier import Predictions, TopError, top_errors
from training.evaluation.out_of_scope import OutOfScopeScore, Threshold, threshold_curve
from training.readers.examples import Example

MAX_ERRORS_OF_A_KIND = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfScopeResults:
    """Results of one classifier on texts in scope and out of scope.

    Attributes:
        answer: the answer for texts out of scope. It is given where it is more probable than every
            label, so there is no fixed threshold.
        score: the metrics.
        outside: number of texts out of scope.
        inside: number of texts in scope.
        threshold_curve: error rates if a fixed threshold were used.
        lowest_refused: lowest probability of out of scope among texts that got no label.
        highest_accepted: highest probability of out of scope among texts that got a label.
        false_accepts: texts out of scope that got a label, highest confidence first.
        false_rejects: texts in scope that got none, highest confidence first.
    """

    answer: str
    score: OutOfScopeScore
    outside: int
    inside: int
    threshold_curve: list[Threshold]
    lowest_refused: float
    highest_accepted: float
    false_accepts: list[TopError]
    false_rejects: list[TopError]

    @property
    def threshold_range(self) -> tuple[float, float]:
        """The probabilities between which the answer changes."""
        low, high = sorted((self.lowest_refused, self.highest_accepted))
        return low, high

    def record(self) -> dict[str, Any]:
        """The results as values for JSON, without the score, which is among the metrics."""
        return {
            "threshold_curve": [asdict(threshold) for threshold in self.threshold_curve],
            "lowest_refused": self.lowest_refused,
            "highest_accepted": self.highest_accepted,
            "false_accepts": [asdict(error) for error in self.false_accepts],
            "false_rejects": [asdict(error) for error in self.false_rejects],
        }


def out_of_scope_results(
    predictions: Predictions,
    examples: Sequence[Example],
    labels: Sequence[str],
    calibration: Calibration,
) -> OutOfScopeResults | None:
    """Evaluates the detection of texts out of scope; ``labels`` are the names of all answers.

    None if the classifier does not detect them, or if the documents are all of one kind.
    """
    score = predictions.out_of_scope_score(calibration)
    if score is None or calibration.out_of_scope is None:
        return None
    answered = predictions.answered(calibration)
    outside_B = predictions.labels_B == OUT_OF_SCOPE_INDEX
    chance_B = answered.logits_BC[:, -1].exp()
    refused_B = answered.logits_BC.argmax(dim=1) == answered.logits_BC.shape[1] - 1
    false_accepts, false_rejects = (
        top_errors(answered, examples, labels, of_B=of_B, count=MAX_ERRORS_OF_A_KIND)
        for of_B in (outside_B, ~outside_B & refused_B)
    )
    return OutOfScopeResults(
        answer=calibration.out_of_scope.label,
        score=score,
        outside=int(outside_B.sum()),
        inside=int((~outside_B).sum()),
        threshold_curve=threshold_curve(chance_B, predictions.labels_B),
        lowest_refused=float(chance_B[refused_B].min()) if refused_B.any() else 1.0,
        highest_accepted=float(chance_B[~refused_B].max()) if not refused_B.all() else 0.0,
        false_accepts=false_accepts,
        false_rejects=false_rejects,
    )

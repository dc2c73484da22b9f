"""What was found about texts out of scope: both mistakes at every border, and the worst of each.

Does not know files, networks or plots. Shapes: B documents, A answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model.calibration import Calibration
from training.data.examples import OUTSIDE
from training.evaluation.classifier import Predictions
from training.evaluation.out_of_scope import OutOfScopeScore, Threshold, threshold_curve
from training.evaluation.top_errors import WrongDocument, most_wrong
from training.readers.documents import Example

WORST = 15  # documents of each kind that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfScopeFindings:
    """How well one classifier tells texts that belong to none of its labels.

    ``answer`` is what it says of such a text. It says so when that is likelier than every label,
    which is no fixed border: ``lowest_refused`` is the least probability of being out of scope with
    which a text was refused, ``highest_accepted`` the greatest with which one got a label.
    ``taken_in`` are texts outside that got a label, ``turned_away`` texts inside that got none,
    those that the classifier was surest of first.
    """

    answer: str
    score: OutOfScopeScore
    outside: int
    inside: int
    threshold_curve: list[Threshold]
    lowest_refused: float
    highest_accepted: float
    taken_in: list[WrongDocument]
    turned_away: list[WrongDocument]

    @property
    def in_use(self) -> tuple[float, float]:
        """The probabilities between which the answer changes."""
        low, high = sorted((self.lowest_refused, self.highest_accepted))
        return low, high

    def record(self) -> dict[str, Any]:
        """As plain values, without the score, which stands among the figures."""
        return {
            "threshold_curve": [asdict(threshold) for threshold in self.threshold_curve],
            "lowest_refused": self.lowest_refused,
            "highest_accepted": self.highest_accepted,
            "taken_in": [asdict(document) for document in self.taken_in],
            "turned_away": [asdict(document) for document in self.turned_away],
        }


def out_of_scope_findings(
    predictions: Predictions,
    examples: Sequence[Example],
    labels: Sequence[str],
    calibration: Calibration,
) -> OutOfScopeFindings | None:
    """None where the classifier has no such answer, or the documents are of one kind only.

    ``labels`` are the names of all answers.
    """
    score = predictions.out_of_scope_score(calibration)
    if score is None or calibration.out_of_scope is None:
        return None
    answered = predictions.answered(calibration)
    outside_B = predictions.labels_B == OUTSIDE
    chance_B = answered.logits_BC[:, -1].exp()
    refused_B = answered.logits_BC.argmax(dim=1) == answered.logits_BC.shape[1] - 1
    return OutOfScopeFindings(
        answer=calibration.out_of_scope.label,
        score=score,
        outside=int(outside_B.sum()),
        inside=int((~outside_B).sum()),
        threshold_curve=threshold_curve(chance_B, predictions.labels_B),
        lowest_refused=float(chance_B[refused_B].min()) if refused_B.any() else 1.0,
        highest_accepted=float(chance_B[~refused_B].max()) if not refused_B.all() else 0.0,
        taken_in=most_wrong(answered, examples, labels, of_B=outside_B, count=WORST),
        turned_away=most_wrong(
            answered, examples, labels, of_B=~outside_B & refused_B, count=WORST
        ),
    )

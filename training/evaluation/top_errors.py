"""The documents that a classifier errs on most. Does not know files, networks or plots.

Shapes: B documents, A answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from training.evaluation.classifier import Predictions
from training.readers.documents import Example

WORST = 25  # documents that are kept
LONGEST = 600  # characters of a document that are kept


@dataclass(frozen=True, slots=True)
class WrongDocument:
    """A document that was given a wrong answer, cut where it is long."""

    text: str
    truth: str
    answer: str
    confidence: float


def most_wrong(
    answered: Predictions,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    of_B: Tensor | None = None,
    count: int = WORST,
) -> list[WrongDocument]:
    """The mistakes that the classifier was surest of, surest first.

    Args:
        answered: log-probabilities of all answers.
        examples: the documents, in the same order.
        labels: the names of the answers.
        of_B: which documents are asked about; None: all.
        count: so many at most.
    """
    confidences_B, choices_B = answered.logits_BC.exp().max(dim=1)
    wrong_B = choices_B != answered.labels_B
    if of_B is not None:
        wrong_B &= of_B
    wrong = wrong_B.nonzero().flatten().tolist()
    wrong.sort(key=lambda index: -float(confidences_B[index]))
    return [
        WrongDocument(
            _cut(examples[index].text),
            examples[index].label,
            labels[int(choices_B[index])],
            float(confidences_B[index]),
        )
        for index in wrong[:count]
    ]


def _cut(text: str) -> str:
    """Both ends of a long text, where most is said."""
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST * 2 // 3]} […] {text[-LONGEST // 3 :]}"

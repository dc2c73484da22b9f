"""Looks inside one classifier: the label's probabilities along a document, and its reasons.

Methods run in one thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.artifact import network_of
from model.calibration import UNCALIBRATED
from model.networks import Classifier
from model.storage.stored_artifact import StoredArtifact
from model.tokenization.tokenizer import Piece
from service.inspection import documents
from service.inspection.cancellation import Cancellation
from service.inspection.checks import bounded_pieces

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DocumentReading:
    """A document of T tokens.

    ``probability_NA``: of each answer after the first ``lengths`` tokens, of which the last are
    all. ``attribution`` is of the likeliest label, also where the likeliest answer is that the text
    is out of scope; None for a model of one label.
    """

    pieces: list[Piece]
    lengths: list[int]
    probability_NA: Doubles
    attribution: documents.Attribution | None


@dataclass(frozen=True, slots=True)
class LabelChange:
    """The answer after ``removed`` tokens (positions in the text) are left out; None: no change."""

    removed: list[int]
    answer: int
    probability: float


class ClassifierInspector:
    """Inspects one artifact.

    Args:
        artifact: of a classifier. Its network is made in float32.
        most_tokens: of a document that is inspected.
    """

    def __init__(self, artifact: StoredArtifact, most_tokens: int) -> None:
        network = network_of(artifact.weights.take())
        if not isinstance(network, Classifier):
            raise TypeError(f"{artifact.manifest.name} is no classifier")
        self.most_tokens = most_tokens
        self.network = network
        self.tokenizer = artifact.tokenizer
        self.answers: Sequence[str] = artifact.manifest.answers
        self._labels = len(artifact.manifest.labels)
        self._calibration = artifact.manifest.calibration or UNCALIBRATED

    def pieces(self, text: str, param: str) -> list[Piece]:
        """The tokens of a text. Raises InvalidTask naming ``param`` when there are too many."""
        return bounded_pieces(self.tokenizer, text, self.most_tokens, param)

    def read(self, text: str, most_lengths: int, cancellation: Cancellation) -> DocumentReading:
        """Probabilities after at most ``most_lengths`` prefixes, evenly spaced, and the reasons.

        Raises:
            InspectionCancelled: see :class:`Cancellation`.
        """
        pieces = self.tokenizer.pieces(text)
        ids = self._ids(pieces)
        stride = -(-len(ids) // most_lengths)
        lengths = list(range(len(ids), 0, -stride))[::-1]
        probability_NA = self._probabilities(ids, lengths, cancellation)
        attribution = None
        if self._labels > 1:
            label = int(probability_NA[-1, : self._labels].argmax())
            attribution = documents.attribute(self.network, ids, label, cancellation)
        return DocumentReading(pieces, lengths, probability_NA, attribution)

    def nearest_change(
        self, text: str, most_removed: int, cancellation: Cancellation
    ) -> LabelChange | None:
        """The fewest tokens, found one by one, whose absence changes the answer.

        Each time the token goes whose absence lowers the answer's probability most.

        Raises:
            InspectionCancelled: see :class:`Cancellation`.
        """
        left = list(enumerate(self._ids(self.tokenizer.pieces(text))))
        first = self._probabilities([token for _, token in left], [len(left)], cancellation)[0]
        answer = int(first.argmax())
        removed: list[int] = []
        while len(removed) < most_removed and len(left) > 1:
            without = [[token for _, token in left[:i] + left[i + 1 :]] for i in range(len(left))]
            found_BA = documents.probabilities(
                self.network, without, self._calibration, cancellation
            )
            best = int(found_BA[:, answer].argmin())
            removed.append(left.pop(best)[0])
            other = int(found_BA[best].argmax())
            if other != answer:
                return LabelChange(removed, other, float(found_BA[best, other]))
        return None

    def _ids(self, pieces: Sequence[Piece]) -> list[int]:
        return [piece.id for piece in pieces] or [self.tokenizer.end]

    def _probabilities(
        self, ids: Sequence[int], lengths: Sequence[int], cancellation: Cancellation
    ) -> Doubles:
        return documents.prefix_probabilities(
            self.network, ids, lengths, self._calibration, cancellation
        )

"""Metrics of a classifier on labeled documents: accuracy, macro F1, loss, calibration, top errors.

Macro F1 and the confusion counts are a few lines of torch each; scikit-learn would add 200 MB (with
SciPy) and 1.3 s of import time for the same values.

Shapes: B documents, C labels, A answers (the labels and, for some classifiers, out of scope as the
last one).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.calibration import Calibration, log_probabilities
from model.networks import Classifier
from training.data.batching import EncodedDocuments, collate, sorted_batches
from training.data.examples import OUT_OF_SCOPE_INDEX
from training.evaluation.calibration import expected_calibration_error
from training.evaluation.multi_label.predictions import LabelSetPredictions
from training.evaluation.out_of_scope import OutOfScopeScore, out_of_scope_score
from training.readers.examples import Example
from training.runtime.precision import Precision, autocast

PREDICTION_BATCH_TOKENS = 8192
MAX_TOP_ERRORS = 25
MAX_ERROR_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Predictions:
    """Logits of documents, and true labels in the same order (``OUT_OF_SCOPE_INDEX``: none)."""

    logits_BC: Tensor
    labels_B: Tensor

    @property
    def in_scope(self) -> Predictions:
        """The documents that have a label."""
        inside_B = self.labels_B != OUT_OF_SCOPE_INDEX
        return Predictions(self.logits_BC[inside_B], self.labels_B[inside_B])

    def answered(self, calibration: Calibration) -> Predictions:
        """Log-probabilities (B, A) of all answers; out of scope becomes the index after the labels.

        Out of scope is an answer only if ``calibration`` has it.
        """
        answers_BA = torch.from_numpy(log_probabilities(self.logits_BC.numpy(), calibration))
        last = self.logits_BC.shape[1]
        return Predictions(
            answers_BA, self.labels_B.masked_fill(self.labels_B == OUT_OF_SCOPE_INDEX, last)
        )

    def out_of_scope_score(self, calibration: Calibration) -> OutOfScopeScore | None:
        """Scores the detection of documents out of scope.

        None if the classifier does not detect them, or if the documents are all of one kind.
        """
        outside_B = self.labels_B == OUT_OF_SCOPE_INDEX
        if calibration.out_of_scope is None or outside_B.all() or not outside_B.any():
            return None
        answers_B = self.answered(calibration).logits_BC.argmax(dim=1)
        answers_B = answers_B.masked_fill(answers_B == self.logits_BC.shape[1], OUT_OF_SCOPE_INDEX)
        return out_of_scope_score(self.logits_BC, answers_B, self.labels_B)

    def out_of_scope(self, calibration: Calibration) -> dict[str, float]:
        """The out-of-scope score as metrics by name; empty if there is no score."""
        score = self.out_of_scope_score(calibration)
        values = {} if score is None else asdict(score)
        return {f"out_of_scope_{name}": value for name, value in values.items()}

    @property
    def accuracy(self) -> float:
        """The share of documents with the true label as the most probable one."""
        return float((self.logits_BC.argmax(dim=1) == self.labels_B).double().mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(functional.cross_entropy(self.logits_BC.double(), self.labels_B))

    def macro_f1(self) -> float:
        """The unweighted mean of F1 over labels that are true or predicted at least once."""
        predicted_B = self.logits_BC.argmax(dim=1)
        labels = self.logits_BC.shape[1]
        true_C = torch.bincount(self.labels_B, minlength=labels)
        predicted_C = torch.bincount(predicted_B, minlength=labels)
        correct_C = torch.bincount(self.labels_B[predicted_B == self.labels_B], minlength=labels)
        occurring_C = true_C + predicted_C > 0
        f1_C = 2.0 * correct_C.double() / (true_C + predicted_C).clamp(min=1)
        return float(f1_C[occurring_C].mean())

    def confusions(self, count: int) -> list[tuple[int, int, int]]:
        """The ``count`` most frequent errors as (true label, predicted label, documents)."""
        predicted_B = self.logits_BC.argmax(dim=1)
        wrong_B = predicted_B != self.labels_B
        pairs = zip(self.labels_B[wrong_B].tolist(), predicted_B[wrong_B].tolist(), strict=True)
        return [(true, predicted, n) for (true, predicted), n in Counter(pairs).most_common(count)]

    def calibration_error(self, temperature: float = 1.0) -> float:
        """Expected calibration error of the probabilities at a temperature."""
        probabilities_BC = (self.logits_BC.double() / temperature).softmax(dim=1)
        return expected_calibration_error(probabilities_BC, self.labels_B)

    def metrics(self, split: str, calibration: Calibration) -> dict[str, float]:
        """The metrics for a manifest, rounded, with names that begin with ``split``.

        All but those of out of scope are computed on the documents in scope alone.
        """
        inside = self.in_scope
        values = {
            "accuracy": inside.accuracy,
            "macro_f1": inside.macro_f1(),
            "loss": inside.loss,
            "calibration_error_before": inside.calibration_error(),
            "calibration_error": inside.calibration_error(calibration.temperature),
            "documents": len(inside.labels_B),
        }
        outside = len(self.labels_B) - len(inside.labels_B)
        if outside > 0:
            values["out_of_scope_documents"] = outside
        values |= self.out_of_scope(calibration)
        return {f"{split}_{name}": round(value, 6) for name, value in values.items()}


Predicted = Predictions | LabelSetPredictions


@torch.no_grad()
def predict(
    network: Classifier, documents: EncodedDocuments, precision: Precision = "float32"
) -> Predicted:
    """Logits of all documents in evaluation mode; the network's mode is restored afterwards."""
    was_training = network.training
    network.eval()
    logits_BC = torch.empty(len(documents), network.architecture.labels)
    for indices in sorted_batches(documents.lengths, budget=PREDICTION_BATCH_TOKENS):
        batch = collate(documents, indices)
        with autocast(precision):
            logits_BC[indices] = network(batch.tokens_TB, batch.lengths_B).float()
    network.train(was_training)
    if isinstance(documents.labels, np.ndarray):
        return LabelSetPredictions(logits_BC, documents.label_tensor)
    return Predictions(logits_BC, documents.label_tensor)


@dataclass(frozen=True, slots=True)
class TopError:
    """A misclassified document, abbreviated if long, with the confidence of its wrong answer."""

    text: str
    truth: str
    answer: str
    confidence: float


def top_errors(
    answered: Predictions,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    of_B: Tensor | None = None,
    count: int = MAX_TOP_ERRORS,
) -> list[TopError]:
    """The misclassified documents with the highest confidence, in descending order.

    Args:
        answered: log-probabilities of all answers.
        examples: the documents, in the same order.
        labels: the names of all answers.
        of_B: mask of the documents to consider; None: all.
        count: maximum number of documents.
    """
    confidences_B, predicted_B = answered.logits_BC.exp().max(dim=1)
    wrong_B = predicted_B != answered.labels_B
    if of_B is not None:
        wrong_B &= of_B
    wrong = wrong_B.nonzero().flatten().tolist()
    wrong.sort(key=lambda index: -float(confidences_B[index]))
    return [
        TopError(
            _abbreviated(examples[index].text),
            examples[index].label,
            labels[int(predicted_B[index])],
            float(confidences_B[index]),
        )
        for index in wrong[:count]
    ]


def _abbreviated(text: str) -> str:
    """The beginning and the end of a long text."""
    if len(text) <= MAX_ERROR_CHARACTERS:
        return text
    return f"{text[: MAX_ERROR_CHARACTERS * 2 // 3]} […] {text[-MAX_ERROR_CHARACTERS // 3 :]}"

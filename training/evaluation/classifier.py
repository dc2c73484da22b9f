"""How good a classifier is on labeled documents: accuracy, macro F1, loss, calibration.

Does not know files, recipes or training. Shapes: B documents, C labels, A answers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional

from model.calibration import Calibration, log_probabilities
from model.networks import Classifier
from training.data.batching import Documents, collate, sorted_batches
from training.data.examples import OUTSIDE
from training.evaluation.calibration import expected_calibration_error
from training.evaluation.out_of_scope import OutOfScopeScore, out_of_scope_score
from training.runtime.precision import Precision, autocast

BATCH_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Predictions:
    """Logits of every document, in the documents' order, and its true label or ``OUTSIDE``."""

    logits_BC: Tensor
    labels_B: Tensor

    @property
    def in_scope(self) -> Predictions:
        """Those of the documents that have a label."""
        inside_B = self.labels_B != OUTSIDE
        return Predictions(self.logits_BC[inside_B], self.labels_B[inside_B])

    def answered(self, calibration: Calibration) -> Predictions:
        """Log-probabilities (B, A) of all answers, where out of scope may be the last one."""
        answers_BA = torch.from_numpy(log_probabilities(self.logits_BC.numpy(), calibration))
        last = self.logits_BC.shape[1]
        return Predictions(answers_BA, self.labels_B.masked_fill(self.labels_B == OUTSIDE, last))

    def out_of_scope_score(self, calibration: Calibration) -> OutOfScopeScore | None:
        """How well documents outside are told; None where that or either kind is unknown."""
        outside_B = self.labels_B == OUTSIDE
        if calibration.out_of_scope is None or outside_B.all() or not outside_B.any():
            return None
        answers_B = self.answered(calibration).logits_BC.argmax(dim=1)
        answers_B = answers_B.masked_fill(answers_B == self.logits_BC.shape[1], OUTSIDE)
        return out_of_scope_score(self.logits_BC, answers_B, self.labels_B)

    def out_of_scope(self, calibration: Calibration) -> dict[str, float]:
        """The same as figures by name, none where it is not known."""
        score = self.out_of_scope_score(calibration)
        found = {} if score is None else asdict(score)
        return {f"out_of_scope_{name}": value for name, value in found.items()}

    @property
    def accuracy(self) -> float:
        """The share of documents whose likeliest label is the true one."""
        return float((self.logits_BC.argmax(dim=1) == self.labels_B).double().mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy, in nats."""
        return float(functional.cross_entropy(self.logits_BC.double(), self.labels_B))

    def macro_f1(self) -> float:
        """The mean of F1 over the labels that occur, whatever their number of documents."""
        choices_B = self.logits_BC.argmax(dim=1)
        labels = self.logits_BC.shape[1]
        true_C = torch.bincount(self.labels_B, minlength=labels)
        chosen_C = torch.bincount(choices_B, minlength=labels)
        right_C = torch.bincount(self.labels_B[choices_B == self.labels_B], minlength=labels)
        occurring_C = true_C + chosen_C > 0
        f1_C = 2.0 * right_C.double() / (true_C + chosen_C).clamp(min=1)
        return float(f1_C[occurring_C].mean())

    def confusions(self, count: int) -> list[tuple[int, int, int]]:
        """The most frequent mistakes as (true label, chosen label, documents)."""
        choices_B = self.logits_BC.argmax(dim=1)
        wrong_B = choices_B != self.labels_B
        pairs = zip(self.labels_B[wrong_B].tolist(), choices_B[wrong_B].tolist(), strict=True)
        return [(true, chosen, n) for (true, chosen), n in Counter(pairs).most_common(count)]

    def calibration_error(self, temperature: float = 1.0) -> float:
        """Expected calibration error of the confidences under a temperature."""
        probabilities_BC = (self.logits_BC.double() / temperature).softmax(dim=1)
        return expected_calibration_error(probabilities_BC, self.labels_B)

    def metrics(self, split: str, calibration: Calibration) -> dict[str, float]:
        """What a manifest records, under names that begin with the split's.

        The first ones are of documents in scope, as if these were all there are.
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


@torch.no_grad()
def predict(
    network: Classifier, documents: Documents, precision: Precision = "float32"
) -> Predictions:
    """Logits for all documents; the network is left in the mode it was in."""
    was_training = network.training
    network.eval()
    logits_BC = torch.empty(len(documents), network.architecture.labels)
    for indices in sorted_batches(documents.lengths, budget=BATCH_TOKENS):
        batch = collate(documents, indices)
        with autocast(precision):
            logits_BC[indices] = network(batch.tokens_TB, batch.lengths_B).float()
    network.train(was_training)
    return Predictions(logits_BC, torch.tensor(documents.labels))

"""Metrics and top errors of predictions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.classifier import MAX_ERROR_CHARACTERS, Predictions, top_errors
from training.readers.examples import Example


@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 2**31))
def test_macro_f1_is_the_mean_over_labels(documents: int, labels: int, seed: int) -> None:
    """Macro F1 is the mean over labels of the harmonic mean of precision and recall."""
    generator = torch.Generator().manual_seed(seed)
    logits_BC = torch.randn(documents, labels, generator=generator)
    labels_B = torch.randint(0, labels, (documents,), generator=generator)
    pairs = list(zip(labels_B.tolist(), logits_BC.argmax(dim=1).tolist(), strict=True))
    scores = []
    for label in {label for pair in pairs for label in pair}:
        correct = sum(pair == (label, label) for pair in pairs)
        recall = correct / max(1, sum(truth == label for truth, _ in pairs))
        precision = correct / max(1, sum(answer == label for _, answer in pairs))
        scores.append(2 * precision * recall / (precision + recall) if correct else 0.0)
    assert Predictions(logits_BC, labels_B).macro_f1() == pytest.approx(sum(scores) / len(scores))


def test_top_errors_are_sorted_by_confidence() -> None:
    """Correct documents are left out, a mask restricts them, and long texts are abbreviated."""
    probabilities_BC = torch.tensor([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1]])
    answered = Predictions(probabilities_BC.log(), torch.tensor([1, 0, 1, 1]))
    examples = [
        Example(f"{name}{'x' * 1000}", label) for name, label in zip("abcd", "BABB", strict=True)
    ]
    errors = top_errors(answered, examples, "AB")
    assert [(error.text[0], error.truth, error.answer) for error in errors] == [
        ("b", "A", "B"),
        ("d", "B", "A"),
        ("a", "B", "A"),
    ]
    assert [error.confidence for error in errors] == pytest.approx([0.9, 0.9, 0.6])
    assert all(len(error.text) <= MAX_ERROR_CHARACTERS + 5 for error in errors)
    mask_B = torch.tensor([True, False, True, False])
    (error,) = top_errors(answered, examples, "AB", of_B=mask_B)
    assert error.text[0] == "a"
    assert len(top_errors(answered, examples, "AB", count=2)) == 2

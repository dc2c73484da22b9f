"""Documents as a classifier reads them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.architecture import ClassifierArchitecture
from model.artifact import Calibration, load_artifact, save_artifact
from model.calibration import OutOfScope, log_probabilities
from model.networks import Classifier
from model.tokenization.tokenizer_training import train_word_tokenizer
from service.inspection.cancellation import Cancellation
from service.inspection.classifier import ClassifierInspector
from service.inspection.documents import attribute

TEXT = "the keys to the old cabinet are on the table near the dogs"


@pytest.fixture(scope="module", params=["last", "last_max_mean_words"])
def inspector(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ClassifierInspector:
    """Of a classifier in two directions with n-gram vectors and a linear part."""
    torch.manual_seed(2)
    tokenizer = train_word_tokenizer([TEXT], vocabulary=None, lossless=False)
    network = Classifier(
        ClassifierArchitecture(
            cell="lstm",
            vocabulary=tokenizer.size,
            embedding=6,
            hidden=7,
            layers=1,
            bidirectional=True,
            pooling=request.param,
            mlp=8,
            labels=3,
            ngrams=2,
            ngram_buckets=16,
            linear_ngrams=2,
            linear_buckets=32,
        )
    )
    assert network.linear is not None
    with torch.no_grad():
        torch.nn.init.normal_(network.embedding.weight)
        torch.nn.init.normal_(network.linear.weight_FC)
    directory = tmp_path_factory.mktemp("models") / "c"
    save_artifact(
        directory,
        network=network,
        tokenizer=tokenizer,
        name="c",
        labels=("a", "b", "c"),
        calibration=Calibration(1.3, OutOfScope("none", weight=1.0, bias=-3.0)),
        provenance={},
        metrics={},
    )
    return ClassifierInspector(load_artifact(directory), 100)


def test_prefixes_are_classified_as_texts_of_their_own(
    inspector: ClassifierInspector, cancellation: Cancellation
) -> None:
    """The probabilities after so many tokens are those of the text that ends there."""
    reading = inspector.read(TEXT, 5, cancellation)
    ids = [piece.id for piece in reading.pieces]
    assert reading.lengths[-1] == len(ids)
    assert len(reading.lengths) <= 5
    calibration = Calibration(1.3, OutOfScope("none", weight=1.0, bias=-3.0))
    for length, probability_A in zip(reading.lengths, reading.probability_NA, strict=True):
        with torch.no_grad():
            logits_BC = inspector.network(
                torch.tensor(ids[:length]).unsqueeze(1), torch.tensor([length])
            )
        expected_A = np.exp(log_probabilities(logits_BC.numpy(), calibration))[0]
        np.testing.assert_allclose(probability_A, expected_A, rtol=1e-4, atol=1e-6)


def test_contributions_add_up(inspector: ClassifierInspector, cancellation: Cancellation) -> None:
    """Integrated gradients and the linear part explain the difference of the two logits; the gap
    that is told is what they do not.
    """
    ids = [piece.id for piece in inspector.pieces(TEXT, "text")]
    for label in range(3):
        attribution = attribute(inspector.network, ids, label, cancellation)
        explained = float(attribution.network_T.sum() + attribution.linear_T.sum())
        assert attribution.total == pytest.approx(
            attribution.baseline + explained + attribution.gap, abs=1e-5
        )
        assert abs(attribution.gap) <= 0.02 * abs(attribution.total - attribution.baseline) + 0.02
        linear = inspector.network.linear
        assert linear is not None
        with torch.no_grad():
            tokens_T1 = torch.tensor(ids).unsqueeze(1)
            logits_C = linear(tokens_T1, torch.tensor([len(ids)]))[0] - linear.bias_C
        expected = float(logits_C[label] - logits_C[attribution.other])
        assert float(attribution.linear_T.sum()) == pytest.approx(expected, abs=1e-4)


def test_a_text_out_of_scope_is_explained_by_its_likeliest_label(
    inspector: ClassifierInspector, cancellation: Cancellation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no label fits, the contributions are those to the likeliest label."""
    likeliest = inspector.read(TEXT, 1, cancellation)
    monkeypatch.setattr(
        inspector, "_calibration", Calibration(1.3, OutOfScope("none", weight=0.0, bias=9.0))
    )
    reading = inspector.read(TEXT, 1, cancellation)
    assert int(reading.probability_NA[-1].argmax()) == 3
    assert reading.attribution is not None
    assert likeliest.attribution is not None
    assert reading.attribution.label == int(reading.probability_NA[-1, :3].argmax())
    assert torch.equal(reading.attribution.network_T, likeliest.attribution.network_T)


def test_the_nearest_change_changes_the_label(
    inspector: ClassifierInspector, cancellation: Cancellation
) -> None:
    """Without the tokens that are told, the answer is the one that is told."""
    change = inspector.nearest_change(TEXT, 8, cancellation)
    assert change is not None, "some eight words decide this text"
    pieces = inspector.pieces(TEXT, "text")
    left = " ".join(piece.text for i, piece in enumerate(pieces) if i not in change.removed)
    before, after = (inspector.read(text, 1, cancellation) for text in (TEXT, left))
    assert int(after.probability_NA[-1].argmax()) == change.answer
    assert int(before.probability_NA[-1].argmax()) != change.answer
    assert float(after.probability_NA[-1, change.answer]) == pytest.approx(change.probability)


def test_a_text_without_tokens_has_an_answer(
    inspector: ClassifierInspector, cancellation: Cancellation
) -> None:
    """An empty text is read as [END] alone."""
    reading = inspector.read("", 4, cancellation)
    assert reading.pieces == []
    assert reading.probability_NA.shape == (1, 4)

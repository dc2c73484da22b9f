"""Weights as arrays: read again on demand, and refused when their file has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.architecture import LanguageModelArchitecture
from model.artifact import weights_of
from model.errors import ArtifactError
from model.storage.stored_artifact import load_stored_artifact
from model.storage.weights import MAX_WEIGHT, classifier_weights, extremes, language_model_weights
from tests.unit.model.test_artifact import classifier, language_model, save


def test_weights_are_handed_over_once_and_read_again(tmp_path: Path) -> None:
    """Each call returns the stored numbers; the second does not return the arrays of the first."""
    network = language_model()
    save(tmp_path / "m", network)
    artifact = load_stored_artifact(tmp_path / "m")
    first, second = artifact.weights.take(), artifact.weights.take()
    expected = weights_of(network)
    assert first.arrays.keys() == expected.arrays.keys()
    for name in expected.arrays:
        assert np.array_equal(first[name], expected[name])
        assert np.array_equal(second[name], expected[name])
        assert not np.shares_memory(first.arrays[name], second.arrays[name])
    assert np.array_equal(artifact.initial_hidden_L1H, expected["initial_hidden_L1H"])


def test_weights_of_a_replaced_artifact_are_still_there(tmp_path: Path) -> None:
    """Another artifact of the same name does not change the one that was loaded."""
    network = language_model()
    save(tmp_path / "m", network)
    artifact = load_stored_artifact(tmp_path / "m")
    artifact.weights.take()
    save(tmp_path / "m", language_model())
    again = artifact.weights.take()
    assert np.array_equal(again["embedding.weight"], weights_of(network)["embedding.weight"])


@pytest.mark.parametrize("content", [b"", b"other", None])
def test_a_file_changed_in_place_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Truncated, other bytes, or one changed bit: the digest differs."""
    save(tmp_path / "m", language_model())
    artifact = load_stored_artifact(tmp_path / "m")
    artifact.weights.take()
    path = tmp_path / "m" / "weights.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw if content is None else content)
    with pytest.raises(ArtifactError, match="damaged: its SHA-256"):
        artifact.weights.take()


def test_half_precision_is_read_in_float32(tmp_path: Path) -> None:
    """Arrays keep the stored type; an item is float32 and contiguous."""
    save(tmp_path / "m", language_model(), half=True)
    weights = load_stored_artifact(tmp_path / "m").weights.take()
    assert weights.arrays["output.bias"].dtype == np.float16
    assert weights["output.bias"].dtype == np.float32
    assert weights["embedding.weight"].flags.c_contiguous


def test_the_kind_of_model_is_checked() -> None:
    """Weights of a classifier are not taken for those of a language model, nor the reverse."""
    words, labels = weights_of(language_model()), weights_of(classifier())
    assert isinstance(language_model_weights(words).architecture, LanguageModelArchitecture)
    assert classifier_weights(labels).architecture.labels == 2
    with pytest.raises(TypeError, match="expected a language model, got a classifier"):
        language_model_weights(labels)
    with pytest.raises(TypeError, match="expected a classifier, got a language-model"):
        classifier_weights(words)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 17, 39])
def test_a_number_that_is_not_finite_shows_in_the_extremes(wrong: float, place: int) -> None:
    """One such number in float16 or float32 makes one of the extremes not finite."""
    whole = np.linspace(-MAX_WEIGHT, MAX_WEIGHT, 40)
    for array in (whole.astype(np.float16), whole.astype(np.float32)):
        assert extremes(array) == (-MAX_WEIGHT, MAX_WEIGHT)
        array[place] = wrong
        assert not np.isfinite(extremes(array)).all()

"""Document state tokens: what is read back, and what is refused."""

from __future__ import annotations

import base64
import hmac
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from model.architecture import ClassifierArchitecture
from model.artifact import Artifact, load_artifact
from model.networks import Classifier, LanguageModel
from service.engine.api.errors import ForeignState, InvalidState
from service.engine.states.document_state_token import (
    DOCUMENT_STATE_TOKEN_VERSION,
    DocumentStateTokenCodec,
)
from service.engine.states.signed_token import fingerprint_of
from service.engine.states.state_token import Snapshot, StateTokenCodec
from service.kernel.api.row_state import RowState, state_parts
from service.kernel.documents.document_reader import DocumentState
from tests.support.service.small_artifacts import language_model as small_language_model
from tests.support.service.small_artifacts import (
    save_classifier,
    save_language_model,
    word_tokenizer,
)

KEY = b"a key"
NUMBERS = 2 * 2 * 16 + 2 * 16  # an LSTM of two layers; maxima and sums of 16 units


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A one-directional LSTM classifier."""
    directory = tmp_path_factory.mktemp("models")
    save_classifier(directory, "stories", cell="lstm", bidirectional=False, layers=2)
    return load_artifact(directory / "stories")


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A small language model."""
    directory = tmp_path_factory.mktemp("models")
    words = word_tokenizer()
    save_language_model(directory, "words", words, small_language_model(words, ends=False))
    return load_artifact(directory / "words")


def codec_of(
    artifact: Artifact, key: bytes = KEY, *, bound: bool = False
) -> DocumentStateTokenCodec:
    """The codec of an artifact."""
    assert isinstance(artifact.network, Classifier)
    return DocumentStateTokenCodec(key, artifact, artifact.network.architecture, bound=bound)


def document(architecture: ClassifierArchitecture) -> DocumentState:
    """A document of 70 tokens with random numbers."""
    generator = np.random.default_rng(0)
    shape = (architecture.layers, architecture.hidden)
    hidden_LH, cell_LH = generator.uniform(-1, 1, shape), generator.normal(0, 5, shape)
    state = RowState(np.stack([hidden_LH, cell_LH]).astype(np.float32))
    pooled = generator.normal(0, 30, (2, 16)).astype(np.float32)
    return DocumentState(70, state, pooled[0], pooled[1])


def test_a_document_is_read_back_to_the_bit(artifact: Artifact) -> None:
    """Every number and the count of tokens survive."""
    assert isinstance(artifact.network, Classifier)
    original = document(artifact.network.architecture)
    codec = codec_of(artifact)
    decoded = codec.decode(codec.encode(original))
    assert decoded.token_count == 70
    assert np.array_equal(decoded.state.values_PLH, original.state.values_PLH)
    assert np.array_equal(decoded.largest_F, original.largest_F)
    assert np.array_equal(decoded.sum_F, original.sum_F)


def test_damaged_tokens_and_other_keys_are_refused(artifact: Artifact) -> None:
    """A changed character, a cut, another key or, if states are bound, another tenant."""
    assert isinstance(artifact.network, Classifier)
    original = document(artifact.network.architecture)
    token = codec_of(artifact).encode(original)
    bound = codec_of(artifact, bound=True)
    refusals = [
        (codec_of(artifact), "A" + token[1:] if token[0] != "A" else "B" + token[1:], ""),
        (codec_of(artifact), token[:-4], ""),
        (codec_of(artifact), "", ""),
        (codec_of(artifact), "no base64!", ""),
        (codec_of(artifact, b"another key"), token, ""),
        (bound, bound.encode(original, "one tenant"), "another"),
    ]
    for codec, text, tenant in refusals:
        with pytest.raises(InvalidState):
            codec.decode(text, tenant)


def test_states_of_other_models_and_kinds_are_foreign(artifact: Artifact, tmp_path: Path) -> None:
    """A state of another classifier with the same key is refused."""
    assert isinstance(artifact.network, Classifier)
    original = document(artifact.network.architecture)
    save_classifier(tmp_path, "other", cell="lstm", bidirectional=False)
    with pytest.raises(ForeignState, match="another model"):
        codec_of(load_artifact(tmp_path / "other")).decode(codec_of(artifact).encode(original))


def test_a_state_of_a_sequence_is_no_document(artifact: Artifact, language_model: Artifact) -> None:
    """The formats of the two kinds of states have different versions."""
    network = language_model.network
    assert isinstance(network, LanguageModel)
    assert isinstance(artifact.network, Classifier)
    a = network.architecture
    sequences = StateTokenCodec(KEY, language_model, a)
    first = RowState(np.zeros((state_parts(a), a.layers, a.hidden), dtype=np.float32))
    snapshot = Snapshot(first, 3, 1, 1, 0, frozenset())
    with pytest.raises(ForeignState, match="format version"):
        codec_of(artifact).decode(sequences.encode(snapshot))
    with pytest.raises(ForeignState, match="format version"):
        sequences.decode(codec_of(artifact).encode(document(artifact.network.architecture)))


@pytest.mark.parametrize("place", [0, 40, 70, 90])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_are_checked_after_the_signature(
    artifact: Artifact, place: int, number: float
) -> None:
    """A number that is not finite is refused in every part, even with a stolen key."""
    numbers = np.full(NUMBERS, 0.25, dtype="<f4")
    assert codec_of(artifact).decode(signed(artifact, numbers)).token_count == 3
    numbers[place] = number
    with pytest.raises(InvalidState):
        codec_of(artifact).decode(signed(artifact, numbers))


def test_lengths_and_counts_are_checked_after_the_signature(artifact: Artifact) -> None:
    """A body of another length, one that expands without bound, and an impossible count."""
    numbers = np.full(NUMBERS, 0.25, dtype="<f4")
    for wrong in (numbers[:-1], np.append(numbers, numbers), np.zeros(2**24, dtype="<f4")):
        with pytest.raises(InvalidState):
            codec_of(artifact).decode(signed(artifact, wrong))
    with pytest.raises(InvalidState):
        codec_of(artifact).decode(signed(artifact, numbers, count=2**63))
    with pytest.raises(InvalidState):
        codec_of(artifact).decode(signed(artifact, numbers * 8))  # hidden states beyond 1


def signed(artifact: Artifact, numbers: np.ndarray, count: int = 3) -> str:
    """A token of these numbers, signed with the right key."""
    head = struct.pack("<B16sQ", DOCUMENT_STATE_TOKEN_VERSION, fingerprint_of(artifact), count)
    content = head + zlib.compress(numbers.tobytes())
    signature = hmac.digest(KEY, b"unroll state\0" + content, "sha256")
    return base64.urlsafe_b64encode(content + signature).decode().rstrip("=")

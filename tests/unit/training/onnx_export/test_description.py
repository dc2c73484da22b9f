"""The description beside an ONNX file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tokenizers

from model.storage.stored_artifact import load_stored_artifact
from model.storage.weights import language_model_weights
from model.tokenization.tokenizer_training import train_bpe_tokenizer
from tests.support.service.small_artifacts import language_model, save_language_model
from training.onnx_export.description import description_of


def test_tokens_and_first_state_survive_json(tmp_path: Path) -> None:
    """The state is exact, the tokens join to the text, and the tokenizer loads in its library."""
    text = "höher, 高い und höher"
    tokenizer = train_bpe_tokenizer([text], vocabulary=260)
    save_language_model(tmp_path, "small", tokenizer, language_model(tokenizer, ends=True))
    artifact = load_stored_artifact(tmp_path / "small")
    weights = language_model_weights(artifact.weights.take())
    written = description_of(artifact.manifest, artifact.tokenizer, weights)
    description = json.loads(json.dumps(written))
    hidden_LH = np.array(description["initial_hidden"], dtype=np.float32)
    np.testing.assert_array_equal(hidden_LH[:, None], weights["initial_hidden_L1H"])
    library = tokenizers.Tokenizer.from_str(json.dumps(description["tokenizer"]))
    ids = library.encode(text, add_special_tokens=False).ids
    tokens = [description["tokens"][token] for token in ids]
    assert any(isinstance(token, list) for token in tokens)
    parts = [bytes(token) if isinstance(token, list) else token.encode() for token in tokens]
    assert b"".join(parts).decode() == text
    assert description["tokens"][description["end_id"]] == ""

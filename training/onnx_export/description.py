"""What a program needs beside the ONNX graph: the first state, the tokens and the tokenizer."""

from __future__ import annotations

import json
from typing import Any

from model.architecture import LanguageModelArchitecture
from model.manifest import WEIGHTS_FILE, Manifest
from model.storage.weights import Weights
from model.tokenization.tokenizer import Tokenizer

FORMAT = 1


def description_of(
    manifest: Manifest, tokenizer: Tokenizer, weights: Weights[LanguageModelArchitecture]
) -> dict[str, Any]:
    """The description of an exported model, as JSON has it.

    ``initial_hidden`` and ``initial_cell`` are the learned state (layers, width) before the first
    token. ``tokens`` has the text of each id, or a list of bytes where a token is a part of a
    character; that of ``end_id`` is empty.
    """
    states = {
        name: weights[f"{name}_L1H"][:, 0].tolist()
        for name in ("initial_hidden", "initial_cell")
        if f"{name}_L1H" in weights.arrays
    }
    return {
        "format": FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "weights_sha256": manifest.files[WEIGHTS_FILE],
        "end_id": tokenizer.end,
        "suppressed_ids": sorted(tokenizer.suppressed),
        **states,
        "tokens": [_token(tokenizer.bytes_of(token)) for token in range(tokenizer.size)],
        "tokenizer": json.loads(tokenizer.to_json()),
    }


def _token(content: bytes) -> str | list[int]:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return list(content)

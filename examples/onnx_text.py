"""Continues a text with ONNX Runtime and NumPy, without torch and without Unroll.

``python -m training export MODEL --onnx FILE.onnx``, then
``python examples/onnx_text.py FILE.onnx [PROMPT]``
"""

# ruff: noqa: T201

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

TEMPERATURE = 0.7
MAX_TOKENS = 200


def token_ids(prompt: str, description: dict[str, Any]) -> list[int]:
    """The ids of the longest tokens that the text begins with, one after the other.

    This equals the tokenizer for character models. For words and BPE, use
    ``tokenizers.Tokenizer.from_str(json.dumps(description["tokenizer"]))``.
    """
    tokens = enumerate(description["tokens"])
    id_of = {text: index for index, text in tokens if isinstance(text, str)}
    ids = []
    while prompt:
        fits = (n for n in range(len(prompt), 0, -1) if prompt[:n] in id_of)
        length = next(fits, None)
        if length is None:
            sys.exit(f"the model has no token for {prompt[:1]!r}")
        ids.append(id_of[prompt[:length]])
        prompt = prompt[length:]
    return ids


def generate(
    session: onnxruntime.InferenceSession, description: dict[str, Any], prompt: str
) -> str:
    """A sampled continuation."""
    names = [name for name in ("hidden", "cell") if f"initial_{name}" in description]
    # (layers, width) -> (layers, batch of 1, width)
    state = [np.float32(description[f"initial_{name}"])[:, None] for name in names]
    tokens, content = [description["end_id"], *token_ids(prompt, description)], b""
    random = np.random.default_rng(seed=1)
    for _ in range(MAX_TOKENS):
        given = {"input_ids": np.array([tokens]), **dict(zip(names, state, strict=True))}
        logits, *state = session.run(None, given)
        scores = logits[0, -1] / TEMPERATURE
        scores[description["suppressed_ids"]] = -np.inf
        chances = np.exp(scores - scores.max())
        token = int(random.choice(len(chances), p=chances / chances.sum()))
        if token == description["end_id"]:
            break
        text = description["tokens"][token]
        content += bytes(text) if isinstance(text, list) else text.encode()
        tokens = [token]
    return content.decode(errors="replace")


if __name__ == "__main__":
    path, prompt = Path(sys.argv[1]), " ".join(sys.argv[2:])
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    print(prompt + generate(onnxruntime.InferenceSession(path), about, prompt))

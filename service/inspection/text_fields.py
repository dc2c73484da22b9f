"""A text as a language model reads it, as the fields of an answer."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.errors import InvalidTask
from service.inspection.activations import LayerActivations
from service.inspection.cancellation import Cancellation
from service.inspection.checks import check_index
from service.inspection.language_model import LanguageModelInspector, Start, TextReading
from service.inspection.queries import TextQuery

PART_TOKENS = 50  # between two checks of the cancellation
MOST_NUMBERS = {"json": 500_000, "base64": 20_000_000}  # activations in one answer
LARGEST_HALF = 65504.0  # of float16


def text_fields(
    inspector: LanguageModelInspector, query: TextQuery, start: Start, cancellation: Cancellation
) -> dict[str, Any]:
    """The fields of an answer about a text.

    Raises:
        InvalidTask: a layer or unit that the model does not have, or too many numbers.
        InspectionCancelled: see :class:`Cancellation`.
    """
    pieces = inspector.pieces(query.text, "text")
    inspector.check_clamps(query.clamps)
    layers, units = _selection(query, inspector, len(pieces))
    reading = inspector.read(
        query.text,
        start,
        cancellation,
        clamps=query.clamps,
        gates=query.gates,
        top=query.top,
    )
    tokens = _tokens(reading, inspector.tokenizer, cancellation)
    first = {"entropy_bits": float(reading.predictions.entropy_T[0])}
    fields: dict[str, Any] = {
        "layers": layers,
        "units": query.units,
        "start": {**first, "top": _top(reading, inspector.tokenizer, 0)},
        "tokens": tokens,
        "unknown_tokens": sum("unknown" in token for token in tokens),
    }
    signals = _signals([reading.layers[layer] for layer in layers], units)
    if query.encoding == "base64":
        fields["arrays"] = {
            name.removeprefix("gates."): _encoded(values) for name, values in signals.items()
        }
    else:
        _add_activations(tokens, signals)
    return fields


def _selection(
    query: TextQuery, inspector: LanguageModelInspector, tokens: int
) -> tuple[list[int], Tensor]:
    """The layers and units that are wanted. Raises InvalidTask."""
    architecture = inspector.network.architecture
    layers = list(range(architecture.layers)) if query.layers is None else list(query.layers)
    for layer in layers:
        check_index(layer, architecture.layers, "layers", "layers")
    units = list(range(architecture.hidden)) if query.units is None else list(query.units)
    for unit in units:
        check_index(unit, architecture.hidden, "units", "units")
    signals = (2 if architecture.cell == "lstm" else 1) + 4 * query.gates
    numbers = tokens * len(layers) * len(units) * signals
    most = MOST_NUMBERS[query.encoding]
    if numbers > most:
        message = (
            f"at most {most} numbers in a response with encoding {query.encoding}, this has "
            f"{numbers}; name fewer units or layers, or send less text"
            + (", or use encoding base64" if query.encoding == "json" else "")
        )
        raise InvalidTask("units", message)
    return layers, torch.tensor(units, dtype=torch.long)


def _tokens(
    reading: TextReading, tokenizer: Tokenizer, cancellation: Cancellation
) -> list[dict[str, Any]]:
    predictions = reading.predictions
    surprisals, entropies = predictions.surprisal_T.tolist(), predictions.entropy_T.tolist()
    tokens = []
    for index, piece in enumerate(reading.pieces):
        if index % PART_TOKENS == 0:
            cancellation.check()
        token = {"text": piece.text, **unknown_mark(piece, tokenizer)}
        token["surprisal_bits"] = surprisals[index]
        token["entropy_bits"] = entropies[index]
        token["top"] = _top(reading, tokenizer, index + 1)
        tokens.append(token)
    return tokens


def unknown_mark(piece: Piece, tokenizer: Tokenizer) -> dict[str, Any]:
    """``unknown`` where the token is an unknown word."""
    return {"unknown": True} if piece.id == tokenizer.unknown else {}


def _top(reading: TextReading, tokenizer: Tokenizer, step: int) -> list[dict[str, Any]]:
    predictions = reading.predictions
    pairs = zip(
        predictions.token_TK[step].tolist(), predictions.probability_TK[step].tolist(), strict=True
    )
    return [{"text": tokenizer.text_of(token), "probability": p} for token, p in pairs]


def _signals(layers: Sequence[LayerActivations], units: Tensor) -> dict[str, Tensor]:
    """Hidden states, cell states and gates after each token (T, L, U), by name."""
    if not layers:
        return {}

    def stacked(select: Callable[[LayerActivations], Tensor]) -> Tensor:
        return torch.stack([select(layer)[1:, units] for layer in layers], dim=1)

    signals = {"hidden": stacked(lambda layer: layer.hidden_TH)}
    if layers[0].cell_TH is not None:
        signals["cell"] = stacked(_cell_of)
    for gate in layers[0].gates:
        signals[f"gates.{gate}"] = stacked(functools.partial(_gate_of, gate))
    return signals


def _gate_of(gate: str, layer: LayerActivations) -> Tensor:
    return layer.gates[gate]


def _cell_of(layer: LayerActivations) -> Tensor:
    assert layer.cell_TH is not None, "all layers of an LSTM have cells"
    return layer.cell_TH


def _encoded(values_TLU: Tensor) -> dict[str, Any]:
    numbers = values_TLU.clamp(-LARGEST_HALF, LARGEST_HALF).half().contiguous().numpy()
    data = base64.b64encode(numbers.astype("<f2").tobytes()).decode()
    return {"dtype": "float16", "shape": list(values_TLU.shape), "data": data}


def _add_activations(tokens: Sequence[dict[str, Any]], signals: Mapping[str, Tensor]) -> None:
    for name, values_TLU in signals.items():
        for token, matrix in zip(tokens, values_TLU.tolist(), strict=True):
            if name.startswith("gates."):
                token.setdefault("gates", {})[name.removeprefix("gates.")] = matrix
            else:
                token[name] = matrix

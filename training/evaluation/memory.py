"""For how many tokens a difference between two texts lasts, in the states and the predictions.

Two texts are read, then the same tokens after both. Step 0 is before the first of these tokens.
Shapes: T tokens, B pairs of texts, S steps, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.inspection import LayerStep, inspect
from model.memory.divergence import half_life, jensen_shannon, relative_distance
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from training.data.token_stream import TokenStream
from training.errors import DataError

PREDICTION = "prediction"


class TextPairs(NamedTuple):
    """Tokens of two texts, which may differ in length, and those that follow both."""

    first_TB: Tensor
    second_TB: Tensor
    common_SB: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitMemory:
    """One unit, counted from 0; differences are means over the pairs."""

    layer: int
    unit: int
    first: float
    last: float
    half_life: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryResults:
    """One model.

    Attributes:
        artifact: its name.
        cell: "elman", "gru" or "lstm".
        tokens: the common tokens of the first pair.
        pairs: number of pairs.
        differences: by name: for each layer "layer 1" and so on the mean relative distance of the
            hidden states, for an LSTM "layer 1 cell" that of the cell states, and "prediction" the
            mean divergence in bits. Lists are by step.
        units: all units, those that differ most at the end first.
    """

    artifact: str
    cell: str
    tokens: list[str]
    pairs: int
    differences: dict[str, list[float]]
    units: list[UnitMemory]

    @property
    def half_lives(self) -> dict[str, int | None]:
        """The half-life in tokens by the names of ``differences``; None if longer than the text."""
        return {name: half_life(values) for name, values in self.differences.items()}

    def record(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        return {
            "artifact": self.artifact,
            "cell": self.cell,
            "tokens": self.tokens,
            "pairs": self.pairs,
            "half_lives": self.half_lives,
            "differences": self.differences,
            "units": [
                {name: getattr(unit, name) for name in UnitMemory.__dataclass_fields__}
                for unit in self.units
            ],
        }


def given_pair(tokenizer: Tokenizer, first: str, second: str, then: str) -> TextPairs:
    """Two texts and the words after both; they are joined by a space."""
    common = then if then[:1].isspace() else f" {then}"
    columns = [
        torch.tensor(ids).unsqueeze(1)
        for ids in (
            [tokenizer.end, *tokenizer.encode(first.rstrip())],
            [tokenizer.end, *tokenizer.encode(second.rstrip())],
            tokenizer.encode(common),
        )
    ]
    return TextPairs(*columns)


def drawn_pairs(stream: TokenStream, places: int, before: int, length: int, seed: int) -> TextPairs:
    """Excerpts of a text, and beside each the same with another token before the common ones.

    The other token is drawn from the text, so a frequent word is replaced by a frequent one.

    Raises:
        DataError: no document is long enough.
    """
    generator = np.random.default_rng([seed, 3])
    needed = before + 1 + length
    counts_D = np.diff(stream.borders_D, append=len(stream)) - needed
    firsts_N = np.concatenate(
        [
            np.arange(border + 1, border + 1 + max(0, count))
            for border, count in zip(stream.borders_D, counts_D, strict=True)
        ]
    )
    if len(firsts_N) == 0:
        raise DataError(
            f"--data: no document has {needed} tokens; give longer ones, or lower --before or "
            "--length"
        )
    starts_B = generator.choice(firsts_N, places)
    tokens_TB = np.asarray(stream.tokens_N[starts_B + np.arange(needed)[:, None]]).astype(np.int64)
    words_N = np.asarray(stream.tokens_N[:])
    words_N = words_N[words_N != stream.end]
    other_B = tokens_TB[before].copy()
    while len(np.unique(words_N)) > 1 and (same_B := other_B == tokens_TB[before]).any():
        other_B[same_B] = generator.choice(words_N, int(same_B.sum()))
    opening_1B = np.full((1, places), stream.end)
    first_TB = np.concatenate([opening_1B, tokens_TB[: before + 1]])
    second_TB = first_TB.copy()
    second_TB[-1] = other_B
    parts = (first_TB, second_TB, tokens_TB[before + 1 :])
    return TextPairs(*(torch.from_numpy(part) for part in parts))


@torch.no_grad()
def measure_memory(
    name: str, network: LanguageModel, tokenizer: Tokenizer, pairs: TextPairs
) -> MemoryResults:
    """Reads all pairs and compares them step by step.

    Args:
        name: of the artifact.
        network: the language model.
        tokenizer: of the network.
        pairs: at least one, with at least one common token.
    """
    steps = len(pairs.common_SB) + 1
    read = [
        _layers(network, torch.cat([text_TB, pairs.common_SB]), steps)
        for text_TB in (pairs.first_TB, pairs.second_TB)
    ]
    differences, units = dict[str, list[float]](), list[UnitMemory]()
    for layer, (one, other) in enumerate(zip(*read, strict=True)):
        one_SBH, other_SBH = _stack_hidden(one), _stack_hidden(other)
        differences[f"layer {layer + 1}"] = _means(relative_distance(one_SBH, other_SBH))
        cells = [[s.cell_BH for s in steps if s.cell_BH is not None] for steps in (one, other)]
        if all(cells):
            distance_SB = relative_distance(*(torch.stack(part) for part in cells))
            differences[f"layer {layer + 1} cell"] = _means(distance_SB)
        units += _units(layer, (one_SBH - other_SBH).abs().mean(dim=1))
    differences[PREDICTION] = [
        float(jensen_shannon(network.logits(one.hidden_BH), network.logits(other.hidden_BH)).mean())
        for one, other in zip(read[0][-1], read[1][-1], strict=True)
    ]
    return MemoryResults(
        artifact=name,
        cell=network.architecture.cell,
        tokens=[tokenizer.text_of(token) for token in pairs.common_SB[:, 0].tolist()],
        pairs=pairs.common_SB.shape[1],
        differences=differences,
        units=sorted(units, key=lambda unit: -unit.last),
    )


def _layers(network: LanguageModel, tokens_TB: Tensor, steps: int) -> list[list[LayerStep]]:
    """The last steps of each layer, that before the first common token first."""
    layers = inspect(network, tokens_TB, network.initial_state(tokens_TB.shape[1]))
    return [layer[-steps:] for layer in layers]


def _stack_hidden(steps: Sequence[LayerStep]) -> Tensor:
    return torch.stack([step.hidden_BH for step in steps])


def _means(values_SB: Tensor) -> list[float]:
    means: list[float] = values_SB.mean(dim=1).tolist()
    return means


def _units(layer: int, difference_SH: Tensor) -> list[UnitMemory]:
    return [
        UnitMemory(
            layer=layer,
            unit=unit,
            first=values_S[0],
            last=values_S[-1],
            half_life=half_life(values_S),
        )
        for unit, values_S in enumerate(difference_SH.T.tolist())
    ]

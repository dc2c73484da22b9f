"""Units that follow a marking of a text, found on one part of it and scored on another.

After Karpathy, Johnson and Li, "Visualizing and Understanding Recurrent Networks" (2016). The text
is cut into windows, which are read side by side; the first tokens of a window are not counted,
since the state has no past there. Shapes: T tokens of a window, B windows, N counted tokens,
H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from model.inspection import inspect
from model.networks import LanguageModel
from model.tokenization.tokenizer import Piece, Tokenizer
from model.units.markings import MARKINGS, Marking, marking_of_tokens
from model.units.unit_search import Values, correlations, score_units
from training.errors import DataError

WINDOW, UNCOUNTED = 512, 64  # tokens
FEWEST_TOKENS = 2 * UNCOUNTED


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitScore:
    """How closely a unit follows a marking on each part of the text.

    ``layer`` and ``unit`` count from 0. ``signal``: "hidden", or "cell" of an LSTM. ``searched``
    and ``held_out`` are Pearson's r; ``separation`` is the probability that the unit is higher at a
    marked token of the held-out part than at an unmarked one, None for a unit that is not the
    closest of its layer and signal.
    """

    marking: str
    layer: int
    unit: int
    signal: Literal["hidden", "cell"]
    searched: float
    held_out: float
    separation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSearch:
    """Results of a search.

    Attributes:
        best: the unit that follows each marking most closely in the searched part, with its score
            on the held-out part, the highest score first.
        missing: markings that are the same at every token of a part.
        units: number of units.
        following: number of units that follow a marking: r of at least ``threshold`` on the
            held-out part, for the marking that they follow most closely on the searched part.
        threshold: of the correlation.
        tokens: of both parts together.
    """

    best: list[UnitScore]
    missing: list[str]
    units: int
    following: int
    threshold: float
    tokens: int

    def record(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of the text: tokens by window, and the marking of each counted token by name."""

    tokens_TB: torch.Tensor
    markings: Mapping[str, Marking]


def search_units(
    network: LanguageModel,
    tokenizer: Tokenizer,
    texts: tuple[str, str],
    threshold: float,
    on_progress: Callable[[float], None] = lambda _: None,
) -> UnitSearch:
    """Compares every unit with every marking.

    Args:
        network: the language model.
        tokenizer: of the network.
        texts: that is searched, and that the found units are scored on.
        threshold: from which on a unit follows a marking.
        on_progress: called with the share of the work that is done.

    Raises:
        DataError: a text is too short.
    """
    parts = [_part(text, tokenizer) for text in texts]
    names = [n for n in MARKINGS if all(np.ptp(part.markings[n]) > 0 for part in parts)]
    layers = network.architecture.layers
    scores, reached = list[UnitScore](), np.zeros((layers, network.architecture.hidden))
    signals = [_signals(network, part.tokens_TB) for part in parts]
    total = layers * (2 if network.architecture.cell == "lstm" else 1)
    for done, ((layer, signal, first_NH), (_, _, second_NH)) in enumerate(
        zip(*signals, strict=True), start=1
    ):
        found = _scores(names, parts, layer, signal, (first_NH, second_NH))
        scores += found
        for score in _closest_markings(found):
            held_out = abs(score.held_out) if score.searched * score.held_out > 0 else 0.0
            reached[layer, score.unit] = max(reached[layer, score.unit], held_out)
        on_progress(done / total)
    best = [
        max((s for s in scores if s.marking == name), key=lambda s: abs(s.searched))
        for name in names
    ]
    return UnitSearch(
        best=sorted(best, key=lambda score: -abs(score.held_out)),
        missing=[name for name in MARKINGS if name not in names],
        units=reached.size,
        following=int((reached >= threshold).sum()),
        threshold=threshold,
        tokens=sum(len(next(iter(part.markings.values()))) for part in parts),
    )


def _part(text: str, tokenizer: Tokenizer) -> _Part:
    pieces = tokenizer.pieces(text)
    if len(pieces) < FEWEST_TOKENS:
        raise DataError(
            f"--data: a half of the text has {len(pieces)} tokens; give at least {FEWEST_TOKENS}"
        )
    length = min(WINDOW, len(pieces))
    rows = len(pieces) // length
    used = pieces[: rows * length]
    tokens_BT = np.array([piece.id for piece in used]).reshape(rows, length)
    markings = {
        name: _counted(marking_of_tokens(used, marking(_text_of(used))), rows)
        for name, marking in MARKINGS.items()
    }
    return _Part(torch.from_numpy(tokens_BT).T.contiguous(), markings)


def _text_of(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _counted(marking_N: Marking, rows: int) -> Marking:
    return np.asarray(marking_N.reshape(rows, -1)[:, UNCOUNTED:].ravel())


@torch.no_grad()
def _signals(
    network: LanguageModel, tokens_TB: torch.Tensor
) -> Iterator[tuple[int, Literal["hidden", "cell"], Values]]:
    """Layer, signal and activations (N, H) at the counted tokens."""
    layers = inspect(network, tokens_TB, network.initial_state(tokens_TB.shape[1]))
    for layer, steps in enumerate(layers):
        hidden_TBH = torch.stack([step.hidden_BH for step in steps[UNCOUNTED:]])
        yield layer, "hidden", hidden_TBH.transpose(0, 1).flatten(0, 1).numpy()
        cells = [step.cell_BH for step in steps[UNCOUNTED:] if step.cell_BH is not None]
        if cells:
            yield layer, "cell", torch.stack(cells).transpose(0, 1).flatten(0, 1).numpy()


def _scores(
    names: Sequence[str],
    parts: Sequence[_Part],
    layer: int,
    signal: Literal["hidden", "cell"],
    values: tuple[Values, Values],
) -> list[UnitScore]:
    """The score of every unit for every marking; separation of the closest unit alone."""
    scores = []
    for name in names:
        searched_H, held_out_H = (
            correlations(values_NH, part.markings[name])
            for values_NH, part in zip(values, parts, strict=True)
        )
        closest = int(np.abs(searched_H).argmax())
        closest_N1 = values[1][:, closest : closest + 1]
        separation = float(score_units(closest_N1, parts[1].markings[name]).separation_U[0])
        scores += [
            UnitScore(
                marking=name,
                layer=layer,
                unit=unit,
                signal=signal,
                searched=float(searched_H[unit]),
                held_out=float(held_out_H[unit]),
                separation=separation if unit == closest else None,
            )
            for unit in range(values[0].shape[1])
        ]
    return scores


def _closest_markings(scores: Sequence[UnitScore]) -> list[UnitScore]:
    """For each unit the marking that it follows most closely on the searched part."""
    closest: dict[int, UnitScore] = {}
    for score in scores:
        known = closest.get(score.unit)
        if known is None or abs(score.searched) > abs(known.searched):
            closest[score.unit] = score
    return list(closest.values())

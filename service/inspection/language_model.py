"""Looks inside one language model: texts in, numbers with the tokens they belong to out.

A text is read as ``[END] x1 .. xn`` from the learned first state, or from a kept state. The
activations of a token are those after it was read; its surprisal is that of the prediction before.
Methods run in one thread at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch

from model.artifact import network_of
from model.errors import UnknownWordError
from model.networks import LanguageModel
from model.state import State
from model.storage.stored_artifact import StoredArtifact
from model.tokenization.tokenizer import Piece
from model.units.markings import Marking, marking_of_tokens
from model.units.unit_search import UnitScores, average_ranks, score_units
from model.words.word_map import WordMap, map_words
from service.engine.api.errors import InvalidTask
from service.inspection import comparison, generation, influence
from service.inspection.activations import LayerActivations, read_tokens, state_at
from service.inspection.cancellation import Cancellation
from service.inspection.checks import bounded_pieces, check_index, check_signal
from service.inspection.memory_swap import exchange
from service.inspection.predictions import TokenPredictions, predict
from service.inspection.queries import Clamp, ExchangedPart, Signal
from service.inspection.unit_step import UnitStep, unit_step
from service.kernel.api.interface import Sampling
from service.kernel.pytorch.sampler import Sampler

UnitOrder = Literal["correlation", "separation"]


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins: a state of one row, and the token that is read next."""

    state: State
    last: int


@dataclass(frozen=True, slots=True)
class TextReading:
    """A text of T tokens as the network reads it.

    ``layers`` holds T + 1 steps: the first reads the token before the text. ``predictions`` are
    those after each of the steps.
    """

    pieces: list[Piece]
    layers: list[LayerActivations]
    predictions: TokenPredictions


class FollowingUnit(NamedTuple):
    """A unit and how closely it follows a marking: see ``UnitScores``."""

    layer: int
    unit: int
    signal: Signal
    correlation: float
    separation: float


@dataclass(frozen=True, slots=True)
class ComparedTexts:
    """Two texts: the units that differ most after them, and how long the difference lasts."""

    units: list[comparison.UnitDifference]
    common: list[Piece]
    divergence: comparison.Divergence


@dataclass(frozen=True, slots=True)
class ComparedContinuations:
    """Log-probabilities of each continuation (in nats) before the first and after each token."""

    pieces: list[Piece]
    continuations: list[list[Piece]]
    logprobs: list[list[float]]


class LanguageModelInspector:
    """Inspects one artifact.

    Args:
        artifact: of a language model. Its network is made in float32.
        most_tokens: of a text that is inspected.
    """

    def __init__(self, artifact: StoredArtifact, most_tokens: int) -> None:
        network = network_of(artifact.weights.take())
        if not isinstance(network, LanguageModel):
            raise TypeError(f"{artifact.manifest.name} is no language model")
        self.most_tokens = most_tokens
        self.network = network
        self.tokenizer = artifact.tokenizer
        self._sampler: Sampler | None = None

    def first(self) -> Start:
        """Where a text begins."""
        return Start(self.network.initial_state(1).detach(), self.tokenizer.end)

    def pieces(self, text: str, param: str, most: int | None = None) -> list[Piece]:
        """The tokens of a text. Raises InvalidTask naming ``param`` when there are too many."""
        return bounded_pieces(self.tokenizer, text, most or self.most_tokens, param)

    def check_clamps(self, clamps: Sequence[Clamp]) -> None:
        """Raises InvalidTask for a unit or a gate that the model does not have."""
        architecture = self.network.architecture
        for clamp in clamps:
            check_index(clamp.layer, architecture.layers, "clamp", "layers")
            check_index(clamp.unit or 0, architecture.hidden, "clamp", "units")
            check_signal(clamp.signal, clamp.value, architecture.cell)

    def read(
        self,
        text: str,
        start: Start,
        cancellation: Cancellation,
        *,
        clamps: Sequence[Clamp] = (),
        gates: bool = False,
        top: int = 5,
    ) -> TextReading:
        """Activations and predictions along a text.

        Raises:
            InspectionCancelled: see :class:`Cancellation`.
        """
        pieces = self.tokenizer.pieces(text)
        ids_T = torch.tensor([start.last, *(piece.id for piece in pieces)])
        layers = read_tokens(
            self.network, ids_T, start.state, cancellation, clamps=clamps, gates=gates
        )
        predictions = predict(self.network, layers[-1].hidden_TH, ids_T[1:], top, cancellation)
        return TextReading(pieces, layers, predictions)

    def search_units(
        self,
        text: str,
        markings: Mapping[str, Marking],
        start: Start,
        count: int,
        cancellation: Cancellation,
        *,
        by: UnitOrder = "correlation",
    ) -> dict[str, list[FollowingUnit]]:
        """The units that follow each marking most closely, the closest first.

        Args:
            text: with at least two tokens.
            markings: by name; each has a number for each character of the text.
            start: where reading begins.
            count: how many units of each marking are wanted.
            cancellation: checked between the parts of the work.
            by: ``correlation`` (its absolute value) or ``separation`` (its distance from 1/2).

        Returns:
            The units by the marking's name. A marking that is the same at every token is missing,
            since no unit can follow it.

        Raises:
            InspectionCancelled: see :class:`Cancellation`.
        """
        pieces = self.tokenizer.pieces(text)
        ids_T = torch.tensor([start.last, *(piece.id for piece in pieces)])
        layers = read_tokens(self.network, ids_T, start.state, cancellation)
        markings_T = {
            name: marking_T
            for name, marking in markings.items()
            if len(np.unique(marking_T := marking_of_tokens(pieces, marking))) > 1
        }
        units: dict[str, list[FollowingUnit]] = {name: [] for name in markings_T}
        for index, layer in enumerate(layers):
            signals: list[tuple[Signal, torch.Tensor | None]] = [
                ("hidden", layer.hidden_TH),
                ("cell", layer.cell_TH),
            ]
            for signal, values_TH in signals:
                if values_TH is None:
                    continue
                cancellation.check()
                values_TU = values_TH[1:].numpy()
                ranks_TU = average_ranks(values_TU)
                for name, marking_T in markings_T.items():
                    scores = score_units(values_TU, marking_T, ranks_TU)
                    units[name] += _following_units(index, signal, scores)
        return {name: _closest(candidates, count, by) for name, candidates in units.items()}

    def generate(
        self,
        prompt: str,
        start: Start,
        sampling: Sampling,
        max_tokens: int,
        cancellation: Cancellation,
        clamps: Sequence[Clamp] = (),
    ) -> list[generation.ClampedToken]:
        """Tokens after a prompt, with units clamped from its first token on.

        Raises:
            InspectionCancelled: see :class:`Cancellation`.
        """
        ids = [start.last, *self.tokenizer.encode(prompt)]
        return self._go_on(ids, start.state, sampling, max_tokens, cancellation, clamps)

    def _go_on(
        self,
        ids: list[int],
        state: State,
        sampling: Sampling,
        max_tokens: int,
        cancellation: Cancellation,
        clamps: Sequence[Clamp] = (),
    ) -> list[generation.ClampedToken]:
        """Reads tokens, at least one, and samples those that follow."""
        if ids[:-1]:
            ids_T = torch.tensor(ids[:-1])
            layers = read_tokens(self.network, ids_T, state, cancellation, clamps=clamps)
            state = state_at(layers, -1)
        if self._sampler is None:
            self._sampler = Sampler(self.tokenizer.size, self.tokenizer.suppressed)
        tokens = generation.generate(
            self.network, self._sampler, ids[-1], state, sampling, max_tokens, cancellation, clamps
        )
        return list(tokens)

    def exchange_memories(
        self,
        texts: tuple[str, str],
        continuation: str,
        part: ExchangedPart,
        sampling: Sampling,
        max_tokens: int,
        cancellation: Cancellation,
    ) -> list[list[generation.ClampedToken]]:
        """Both texts read, then the continuation and more tokens, with one seed.

        Args:
            texts: after which the memories are exchanged.
            continuation: at least one token, which both read after that.
            part: of the memories.
            sampling, max_tokens, cancellation: as for ``generate``.

        Returns:
            The tokens after the first and the second text as they are, then both with the other
            memory.

        Raises:
            InvalidTask: a layer or unit that the model does not have, or no continuation.
            InspectionCancelled: see :class:`Cancellation`.
        """
        architecture = self.network.architecture
        for layer in part.layers or ():
            check_index(layer, architecture.layers, "layers", "layers")
        for unit in part.units or ():
            check_index(unit, architecture.hidden, "units", "units")
        common = self.tokenizer.encode(continuation)
        if not common:
            raise InvalidTask("continuation", "expected at least one token to read after the texts")
        first, second = (self._state_after(text, cancellation) for text in texts)
        states = (first, second, *exchange(first, second, part))
        return [self._go_on(common, s, sampling, max_tokens, cancellation) for s in states]

    def compare_texts(
        self, first: str, second: str, continuation: str, count: int, cancellation: Cancellation
    ) -> ComparedTexts:
        """The states after two texts, and both going on with the same continuation.

        Raises:
            InspectionCancelled: see :class:`Cancellation`.
        """
        one, other = (self._state_after(text, cancellation) for text in (first, second))
        common = self.tokenizer.pieces(continuation)
        common_T = torch.tensor([piece.id for piece in common], dtype=torch.long)
        divergence = comparison.diverge(self.network, one, other, common_T, cancellation)
        units = comparison.largest_differences(one, other, count)
        return ComparedTexts(units, common, divergence)

    def _state_after(self, text: str, cancellation: Cancellation) -> State:
        ids_T = torch.tensor([self.tokenizer.end, *self.tokenizer.encode(text)])
        return state_at(read_tokens(self.network, ids_T, self.first().state, cancellation), -1)

    def influence(
        self, pieces: Sequence[Piece], target: int, cancellation: Cancellation
    ) -> influence.Influence:
        """Influence of each token of a text on the prediction of ``target`` after it.

        Raises:
            InspectionCancelled: see :class:`Cancellation`.
        """
        start = self.first()
        before_T = torch.tensor([start.last])
        with torch.no_grad():
            state = self.network.encode(before_T.unsqueeze(1), start.state).state
        ids_T = torch.tensor([piece.id for piece in pieces])
        return influence.influence_of(self.network, ids_T, target, state, cancellation)

    def compare_continuations(
        self, prefix: str, continuations: Sequence[str], cancellation: Cancellation
    ) -> ComparedContinuations:
        """How likely each continuation is before the first token of a prefix and after each.

        Raises:
            InspectionCancelled: see :class:`Cancellation`.
        """
        pieces = self.tokenizer.pieces(prefix)
        ids_T = torch.tensor([self.tokenizer.end, *(piece.id for piece in pieces)])
        layers = read_tokens(self.network, ids_T, self.first().state, cancellation)
        spelled = [self.tokenizer.pieces(text) for text in continuations]
        logprobs = [
            comparison.continuation_logprobs(
                self.network, layers, [piece.id for piece in tokens], cancellation
            ).tolist()
            for tokens in spelled
        ]
        return ComparedContinuations(pieces, spelled, logprobs)

    def unit_step(
        self, text: str, token: int | None, layer: int, unit: int, cancellation: Cancellation
    ) -> tuple[Piece, UnitStep]:
        """The arithmetic of one unit in the step that reads a token of a text (None: the last).

        Raises:
            InvalidTask: the text or the model has no such token, layer or unit.
            InspectionCancelled: see :class:`Cancellation`.
        """
        architecture = self.network.architecture
        pieces = self.tokenizer.pieces(text)
        if not pieces or (token is not None and token >= len(pieces)):
            message = f"the text has {len(pieces)} tokens, counted from 0; there is no {token}"
            raise InvalidTask("token", message)
        check_index(layer, architecture.layers, "layer", "layers")
        check_index(unit, architecture.hidden, "unit", "units")
        read = pieces if token is None else pieces[: token + 1]
        start = self.first()
        ids_T = torch.tensor([start.last, *(piece.id for piece in read)])
        step = unit_step(self.network, ids_T, start.state, layer, unit, cancellation)
        return read[-1], step

    def map_words(self, words: Sequence[str], neighbors: int) -> WordMap:
        """Vectors of words, their nearest words, and a map.

        Raises:
            InvalidTask: a word is not one token of the model.
        """
        vectors_VE = self.network.embedding.weight
        try:
            return map_words("", vectors_VE, self.tokenizer, words, neighbors)
        except UnknownWordError as error:
            raise InvalidTask("words", f"{error}; give words of its vocabulary") from error

    def first_token_after(self, text: str, pieces: Sequence[Piece], more: str) -> int:
        """The token that ``more`` begins with where it stands after a text.

        Raises:
            InvalidTask: the end of the text and the beginning of ``more`` are one token.
        """
        joined = self.tokenizer.encode(text + more)
        if joined[: len(pieces)] != [piece.id for piece in pieces] or len(joined) == len(pieces):
            raise InvalidTask(
                "target",
                "it joins with the end of the text to one token; begin it with a space, or end the "
                "text with one",
            )
        return joined[len(pieces)]

    def likeliest_successor(self, pieces: Sequence[Piece], cancellation: Cancellation) -> int:
        """The token that most probably follows a text, of those that may be generated."""
        ids_T = torch.tensor([self.tokenizer.end, *(piece.id for piece in pieces)])
        layers = read_tokens(self.network, ids_T, self.first().state, cancellation)
        with torch.no_grad():
            logits_V = self.network.logits(layers[-1].hidden_TH[-1:])[0].clone()
        logits_V[sorted(self.tokenizer.suppressed)] = -math.inf
        return int(logits_V.argmax())


def _following_units(layer: int, signal: Signal, scores: UnitScores) -> list[FollowingUnit]:
    pairs = zip(scores.correlation_U, scores.separation_U, strict=True)
    return [
        FollowingUnit(layer, unit, signal, float(correlation), float(separation))
        for unit, (correlation, separation) in enumerate(pairs)
    ]


def _closest(units: list[FollowingUnit], count: int, by: UnitOrder) -> list[FollowingUnit]:
    if by == "separation":
        return sorted(units, key=lambda unit: -abs(unit.separation - 0.5))[:count]
    return sorted(units, key=lambda unit: -abs(unit.correlation))[:count]

"""Questions about a text or a document, as the routes ask them. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Signal = Literal["hidden", "cell"]
HeldSignal = Literal["hidden", "cell", "input", "forget", "output", "reset", "update", "candidate"]


@dataclass(frozen=True, slots=True)
class Clamp:
    """A unit that is set to ``value`` in every step: of the hidden state, of an LSTM's cell, or of
    a gate, which is set before it is applied.

    ``layer`` and ``unit`` count from 0; None is all units of the layer.
    """

    layer: int
    unit: int | None
    value: float
    signal: HeldSignal = "hidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextQuery:
    """What is wanted of a text. ``layers`` and ``units``: None for all of them."""

    text: str
    top: int
    layers: Sequence[int] | None
    units: Sequence[int] | None
    gates: bool
    clamps: Sequence[Clamp]
    encoding: Literal["json", "base64"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentQuery:
    """What is wanted of a document: probabilities after so many prefixes, and a nearest change."""

    text: str
    prefixes: int
    nearest_change: bool


@dataclass(frozen=True, slots=True)
class ExchangedPart:
    """What is exchanged. ``layers`` and ``units`` count from 0; None is all of them."""

    layers: Sequence[int] | None = None
    units: Sequence[int] | None = None
    signals: Sequence[Signal] = ("hidden", "cell")

"""Automata over bytes: of a list of choices, and of a regular expression.

Shape suffixes: S states, C classes of bytes.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.engine.api.errors import ConstraintsUnavailable
from service.engine.constraints import regex_process

PROCESS_BYTES = 2**29  # address space of the process that compiles an expression


class TooComplexError(Exception):
    """A constraint needs more time or memory than it may take."""


class InvalidPatternError(Exception):
    """An expression cannot be compiled; the message has the reason."""


@dataclass(frozen=True, slots=True)
class ByteAutomaton:
    """``class_of``: the class of each of 256 bytes. ``next_SC``: the state after a byte of a class,
    -1 where no text goes on. State 0 is the first.
    """

    class_of: NDArray[np.uint8]
    next_SC: NDArray[np.int32]
    accepting_S: NDArray[np.bool_]


def of_choices(choices: Sequence[str]) -> ByteAutomaton:
    """Accepts exactly these texts."""
    texts = [choice.encode() for choice in choices]
    alphabet = sorted(set(b"".join(texts)))
    class_of = np.full(256, len(alphabet), dtype=np.uint8)  # UTF-8 does not use all bytes
    class_of[alphabet] = range(len(alphabet))
    followers: list[dict[int, int]] = [{}]  # of each state, by class: a tree of all beginnings
    accepting = []
    for text in texts:
        state = 0
        for byte_class in class_of[list(text)].tolist():
            after = followers[state].setdefault(byte_class, len(followers))
            if after == len(followers):
                followers.append({})
            state = after
        accepting.append(state)
    next_SC = np.full((len(followers), len(alphabet) + 1), -1, dtype=np.int32)
    for state, by_class in enumerate(followers):
        next_SC[state, [*by_class]] = [*by_class.values()]
    accepting_S = np.zeros(len(followers), dtype=np.bool_)
    accepting_S[accepting] = True
    return ByteAutomaton(class_of, next_SC, accepting_S)


def of_regex(regex: str, seconds: float) -> ByteAutomaton:
    """Accepts the texts that the whole expression matches. Waits for a process.

    Raises:
        InvalidPatternError: the expression is not one.
        TooComplexError: it takes more than ``seconds`` or too much memory.
        ConstraintsUnavailable: no process can be started, or the library is missing.
    """
    program = Path(regex_process.__file__)
    limits = [str(math.ceil(seconds)), str(PROCESS_BYTES)]
    try:
        ended = subprocess.run(
            [sys.executable, "-P", str(program), *limits],
            input=regex.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TooComplexError from None
    except OSError as error:
        raise ConstraintsUnavailable(f"no process can be started ({error.strerror})") from error
    if ended.returncode == regex_process.REFUSED:
        raise InvalidPatternError(ended.stdout.decode(errors="replace"))
    if ended.returncode == regex_process.MISSING:
        raise ConstraintsUnavailable("outlines-core is not installed")
    if ended.returncode != 0:  # a limit ended it
        raise TooComplexError
    return unpacked(ended.stdout)


def unpacked(raw: bytes) -> ByteAutomaton:
    """The automaton that ``regex_process`` has written."""
    states, classes = regex_process.SIZES.unpack_from(raw)
    head = regex_process.SIZES.size
    begin = head + 256 + states
    next_CS = np.frombuffer(raw[begin:], dtype=np.int32).reshape(classes, states)
    return ByteAutomaton(
        class_of=np.frombuffer(raw[head : head + 256], dtype=np.uint8),
        next_SC=np.ascontiguousarray(next_CS.T),
        accepting_S=np.frombuffer(raw[head + 256 : begin], dtype=np.uint8).astype(np.bool_),
    )

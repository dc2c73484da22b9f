"""What the engine asks of a kernel, and in what words it answers.

A kernel owns a pool of ``capacity`` rows. A row holds the state of one sequence: everything it
has read. ``run`` takes work for any of the rows and advances each of them by up to ``steps``
tokens; a kernel may run all the steps at once and samples inside. The interface knows no text,
no requests and no queues, and no promise here depends on how a kernel computes: for a given
artifact, what a row draws depends on what was fed to it and on its ``Sampling`` alone, never
on which row it is or on what the other rows do.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from model.state import State

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a row draws its tokens. The values are taken as they are: the caller has checked them.

    The order is: repetition penalty on the logits, tokens that are never drawn, temperature,
    top_k, top_p, min_p; each filter sees what the one before has left.

    ``temperature`` 0 is greedy: the likeliest token, the lower id on a tie. ``top_k`` 0 is off.
    ``top_p``: the fewest tokens whose mass reaches it. ``min_p``: at least this fraction of the
    likeliest token's probability. ``repetition_penalty`` (Keskar et al., CTRL, 2019) divides
    positive and multiplies negative logits of the tokens already seen (those of an adaptive softmax
    are log-probabilities, never positive). ``seed`` (unsigned, 64 bits), ``choice`` and the
    position decide the random numbers, nothing else does.
    ``logprob``: whether the log-probability of a drawn token is wanted; where it is not, it may
    be anything, and a pass over the vocabulary is saved. ``top_logprobs``: how many of the
    likeliest tokens to report with each token.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    choice: int = 0
    logprob: bool = True
    top_logprobs: int = 0


GREEDY = Sampling(temperature=0.0)


class Scored(NamedTuple):
    """A token with its natural log-probability under the model itself.

    That is at temperature 1, with no penalty and no filter. ``top``: the likeliest tokens and
    their log-probabilities, best first, as many as ``Sampling.top_logprobs`` asks for.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class InvalidWork(ValueError):  # noqa: N818 it says what happened
    """Work that a kernel has refused, before any row has moved."""


@dataclass(slots=True)
class RowWork:
    """What one row is to do in one call.

    The row reads ``feed`` (at least one token), then draws up to ``draw`` tokens, reading each
    before it draws the next. One token read is one step; when the steps run out before ``feed``
    does, nothing is drawn. The token drawn last is not read: the next call feeds it. Drawing
    ends with the kernel's ``end`` token.

    ``position``: how many tokens the sequence has drawn before this call (the counter of its
    random numbers). ``seen``: ids that the repetition penalty holds for; what is drawn within
    the call is added by the kernel. ``score``: report the log-probability of ``feed[1:]`` as
    far as their predecessors are read. ``distribution``: report the log-probabilities of all
    tokens after the last token of ``feed`` (before anything is drawn). ``keep``: copy the state
    when so many tokens of ``feed`` have been read in this call (0: do not).
    """

    row: int
    feed: Sequence[int]
    draw: int = 0
    sampling: Sampling = GREEDY
    position: int = 0
    seen: Collection[int] = ()
    score: bool = False
    distribution: bool = False
    keep: int = 0


@dataclass(slots=True)
class RowResult:
    """What came of one :class:`RowWork`.

    ``read``: how many tokens of ``feed`` were read. ``scored``: for ``feed[1:]``, in order.
    ``drawn``: the tokens drawn, in order, [END] included. ``logprobs_V``: natural logarithms,
    float32, when asked for and ``feed`` was read to its end. ``kept``: the state copied on the
    way, a batch of one, when the call got that far. ``failed``: the row's logits were not finite
    numbers, so nothing more can come of it; other rows are not affected.
    """

    read: int = 0
    scored: list[Scored] = field(default_factory=list)
    drawn: list[Scored] = field(default_factory=list)
    logprobs_V: FloatArray | None = None
    kept: State | None = None
    failed: bool = False


LogitSlices = Generator[None, None, FloatArray]


class ClassifierKernel(Protocol):
    """Logits of whole documents, in slices short enough for running streams to wait for."""

    def classify(self, documents: Sequence[Sequence[int]]) -> LogitSlices:
        """A generator that yields between slices and returns logits (rows, labels).

        Documents have at least one token each. A document's logits are within 1e-6 of what they
        are alone, whatever is classified beside it.
        """


class Kernel(Protocol):
    """Steps of many rows. Used from one thread."""

    @property
    def capacity(self) -> int:
        """How many rows there are: 0 to capacity - 1."""

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""

    def open(self, row: int) -> None:
        """Sets the row to the learned first state, whatever it held before."""

    def fork(self, source: int, target: int) -> None:
        """Copies the state of one row over another."""

    def save(self, row: int) -> State:
        """A copy of the row's state, as a batch of one."""

    def restore(self, row: int, state: State) -> None:
        """Overwrites the row's state with a batch of one."""

    def interrupt(self) -> None:
        """Ends the call under way, or the next one, after the step it is in. Any thread."""

    def run(
        self, work: Sequence[RowWork], steps: int, *, cut_at_end: bool = False
    ) -> list[RowResult]:
        """Advances each row by up to ``steps`` tokens; results stand in the order of ``work``.

        Fewer steps are taken when somebody interrupts, and with ``cut_at_end`` as soon as a row
        has done its work; one at least. No row may appear twice. Raises InvalidWork on a
        row, token or count out of range, before any row has moved.
        """

"""The kernel interface: the work that the engine hands over and the results it gets back.

A kernel owns a pool of ``capacity`` rows. A row holds the state of one sequence. ``run`` advances
any of the rows by up to ``steps`` tokens; a kernel may run all steps at once, and it samples
inside. Every kernel guarantees this: for a given artifact, the tokens of a row depend only on the
tokens fed to it and on its ``Sampling``, never on the row's number or on other rows.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.kernel.api.row_state import RowState
from service.kernel.api.token_automaton import TokenAutomaton

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The sampling options of a row. A kernel does not check their values; the caller has checked
    them.

    Order: repetition penalty on the logits, presence and frequency penalty, logit bias, suppressed
    tokens and those that a constraint excludes, temperature, top_k, top_p, min_p.
    Each filter applies to the tokens that the one before has kept.

    ``temperature``: 0 is greedy, the likeliest token, the lower id on a tie. ``top_k``: 0 is off.
    ``top_p``: the fewest tokens whose mass reaches it. ``min_p``: at least this fraction of the
    likeliest token's probability. ``repetition_penalty`` (Keskar et al., CTRL, 2019): divides
    positive and multiplies negative logits of the tokens already seen. For an adaptive softmax the
    logits are log-probabilities, which are never positive. ``presence_penalty`` is subtracted from
    the logit of each token that was sampled before, ``frequency_penalty`` once for each time.
    ``logit_bias``: ids, each at most once, with the numbers to add to their logits. ``seed``
    (unsigned, 64 bits), ``choice_index`` and the position alone decide the random numbers.
    ``logprob``: whether the log-probability of a sampled token is needed. Without it one pass over
    the vocabulary is saved. ``top_logprobs``: how many of the likeliest tokens to report with each
    token.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int = 0
    choice_index: int = 0
    logprob: bool = True
    top_logprobs: int = 0

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how often a token was sampled."""
        return self.presence_penalty != 0.0 or self.frequency_penalty != 0.0

    @property
    def adjusts_logits(self) -> bool:
        """Whether a penalty or a bias can change a logit."""
        return self.repetition_penalty != 1.0 or self.counts_tokens or bool(self.logit_bias)

    @property
    def reports(self) -> bool:
        """Whether sampled tokens are wanted with log-probabilities."""
        return self.logprob or self.top_logprobs > 0


GREEDY = Sampling(temperature=0.0)


class Scored(NamedTuple):
    """A token with its natural log-probability at temperature 1, without penalty and filters.

    ``top``: the likeliest tokens with their log-probabilities, best first, as many as
    ``Sampling.top_logprobs``.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class InvalidWork(ValueError):  # noqa: N818
    """Work that a kernel refuses before any row has moved."""


@dataclass(slots=True)
class RowWork:
    """The work of one row in one call.

    The row reads ``feed`` (at least one token), then samples up to ``sample`` tokens and reads each
    before it samples the next. One token read is one step. If the steps run out before the end of
    ``feed``, nothing is sampled. The token sampled last is not read: the next call feeds it.
    Sampling ends with the kernel's ``end`` token.

    ``position``: how many tokens the sequence has sampled before this call, the counter of its
    random numbers. ``seen``: ids under the repetition penalty. ``counts``: how often each id was
    sampled, for the presence and frequency penalties. The kernel adds the tokens sampled within the
    call to both. ``score``: report the log-probability of the tokens of ``feed[1:]`` whose
    predecessors were read. ``distribution``: report the log-probabilities of all tokens after the
    last token of ``feed``, before anything is sampled. ``keep``: copy the state after this many
    tokens of ``feed``; 0 copies nothing. ``constraint``: only tokens that it allows are sampled,
    from its state ``constraint_state`` on.
    """

    row: int
    feed: Sequence[int]
    sample: int = 0
    sampling: Sampling = GREEDY
    position: int = 0
    seen: Collection[int] = ()
    counts: Mapping[int, int] = field(default_factory=dict)
    score: bool = False
    distribution: bool = False
    keep: int = 0
    constraint: TokenAutomaton | None = None
    constraint_state: int = 0


@dataclass(slots=True)
class RowResult:
    """The result of one :class:`RowWork`.

    ``read``: tokens of ``feed`` that were read. ``scored``: for ``feed[1:]``, in order.
    ``tokens``: the sampled tokens in order, [END] included. ``generated``: the same with their
    log-probabilities; empty if ``Sampling`` asks for none. ``logprobs_V``: natural logarithms,
    float32, if requested and ``feed`` was read to its end. ``kept``: the copied state, if the
    call got that far. ``failed``: the row's logits were not finite, so the row cannot
    continue; other rows are not affected.
    """

    read: int = 0
    scored: list[Scored] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    generated: list[Scored] = field(default_factory=list)
    logprobs_V: FloatArray | None = None
    kept: RowState | None = None
    failed: bool = False


LogitSlices = Generator[None, None, FloatArray]
FeatureSlices = Generator[None, None, FloatArray]


class ClassifierKernel(Protocol):
    """Logits of whole documents, computed in short slices so that running streams are not
    delayed.
    """

    @property
    def features(self) -> int:
        """The number of pooled features of a document, the inputs of the MLP."""

    def embed(self, documents: Sequence[Sequence[int]]) -> FeatureSlices:
        """As :meth:`classify`, but returns the pooled features (rows, features), float32."""

    def classify(self, documents: Sequence[Sequence[int]]) -> LogitSlices:
        """A generator that yields between slices and returns logits (rows, labels), float32.

        Each document has at least one token. A document's logits differ by at most 1e-6 between
        batches.
        """


class Kernel(Protocol):
    """Steps of many rows. Not thread-safe, except for :meth:`interrupt`."""

    @property
    def capacity(self) -> int:
        """The number of rows; rows are numbered from 0."""

    @property
    def vocabulary(self) -> int:
        """The number of tokens."""

    def open(self, row: int) -> None:
        """Set the row to the learned initial state."""

    def fork(self, source: int, target: int) -> None:
        """Copy the state of one row to another."""

    def save(self, row: int) -> RowState:
        """A copy of the row's state."""

    def restore(self, row: int, state: RowState) -> None:
        """Overwrite the row's state."""

    def interrupt(self) -> None:
        """End the current call, or the next one, after its current step. Thread-safe."""

    def run(
        self,
        work: Sequence[RowWork],
        steps: int,
        *,
        cut_at_end: bool = False,
        seconds: float = math.inf,
    ) -> list[RowResult]:
        """Advance each row by up to ``steps`` tokens; results are in the order of ``work``.

        A call takes fewer steps after an interrupt, when it has taken ``seconds``, and, with
        ``cut_at_end``, as soon as a row has done its work; it takes at least one. No row may appear
        twice. Raises InvalidWork on a row, token or count out of range, before any row has moved.
        """

"""Perplexity of a kernel on held-out text.

Documents are split into windows that are read in parallel rows. A window inside a document first
reads up to BURN_IN_TOKENS tokens before it, which are not scored, so that its predictions have
context. Every kernel reads the same windows.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.kernel.api.interface import Kernel, RowWork

WINDOW_TOKENS, BURN_IN_TOKENS = 2048, 256  # tokens
STEPS_PER_CALL = 128


@dataclass(frozen=True)
class ScoringWindow:
    """Tokens to read from the learned initial state.

    ``feed`` begins with [END]. Prediction i is that of ``feed[i + 1]``; those from ``first`` on are
    scored.
    """

    feed: Sequence[int]
    first: int

    @property
    def scored(self) -> int:
        """Number of scored predictions."""
        return len(self.feed) - 1 - self.first


@dataclass(frozen=True)
class Perplexity:
    """A sum of negative log-likelihoods in nats over ``tokens`` predictions."""

    nats: float
    tokens: int

    @property
    def per_token(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens

    @property
    def value(self) -> float:
        """Perplexity per token."""
        return math.exp(self.per_token)


def split_into_windows(
    documents: Iterable[Sequence[int]],
    end: int,
    *,
    window: int = WINDOW_TOKENS,
    burn_in: int = BURN_IN_TOKENS,
) -> list[ScoringWindow]:
    """Splits documents into windows; every token and every [END] is scored in exactly one.

    Args:
        documents: token ids without [END].
        end: id of [END].
        window: scored tokens of a window.
        burn_in: tokens that are read before them, if the document has as many.
    """
    windows = []
    for document in documents:
        tokens = [end, *document, end]
        for begin in range(0, len(tokens) - 1, window):
            last = min(begin + window, len(tokens) - 1)
            start = max(0, begin - burn_in)
            feed = tokens[start : last + 1]
            if start > 0:  # [END] precedes the initial state in training, too
                feed = [end, *feed]
            windows.append(ScoringWindow(feed, begin - start + (start > 0)))
    return windows


def subsample(windows: Sequence[ScoringWindow], tokens: int | None) -> list[ScoringWindow]:
    """Evenly spaced windows with about this number of scored tokens; all of them for None."""
    total = sum(window.scored for window in windows)
    if tokens is None or tokens >= total:
        return list(windows)
    count = max(1, len(windows) * tokens // total)
    return [windows[index * len(windows) // count] for index in range(count)]


def measure_perplexity(kernel: Kernel, windows: Sequence[ScoringWindow]) -> Perplexity:
    """Reads all windows, longest first, as many at a time as the kernel has rows."""
    ordered = sorted(windows, key=lambda window: len(window.feed), reverse=True)
    nats = math.fsum(
        -logprob
        for begin in range(0, len(ordered), kernel.capacity)
        for logprob in _logprobs(kernel, ordered[begin : begin + kernel.capacity])
    )
    return Perplexity(nats, sum(window.scored for window in ordered))


def _logprobs(kernel: Kernel, windows: Sequence[ScoringWindow]) -> list[float]:
    """The log-probabilities of all scored predictions; at most one window for each row."""
    read = [0] * len(windows)
    logprobs: list[float] = []
    for row in range(len(windows)):
        kernel.open(row)
    while rows := [row for row, window in enumerate(windows) if read[row] < len(window.feed) - 1]:
        work = []
        for row in rows:
            end = read[row] + STEPS_PER_CALL + 1  # the last token is predicted, but not read
            work.append(RowWork(row=row, feed=windows[row].feed[read[row] : end], score=True))
        for row, result in zip(rows, kernel.run(work, STEPS_PER_CALL), strict=True):
            burn_in = max(0, windows[row].first - read[row])
            logprobs += [scored.logprob for scored in result.scored[burn_in:]]
            read[row] += min(result.read, len(result.scored))
    return logprobs

"""Perplexity through a kernel: what int8 weights cost, on text that was not trained on.

Documents are cut into pieces that are read side by side. A piece that begins inside its document
first reads up to RUN_IN tokens before it, uncounted, so that what counts has context; every kernel
reads the same pieces. Knows neither files nor which kernels there are.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.kernel.api.interface import Kernel, RowWork

PIECE, RUN_IN = 2048, 256  # tokens
STEPS = 128  # of one call


@dataclass(frozen=True)
class Piece:
    """Tokens to read from the learned first state; predictions from ``first`` on count.

    ``feed`` begins with [END]; prediction i is that of ``feed[i + 1]``.
    """

    feed: Sequence[int]
    first: int

    @property
    def counted(self) -> int:
        """How many predictions count."""
        return len(self.feed) - 1 - self.first


@dataclass(frozen=True)
class Perplexity:
    """The sum of -log p over ``tokens`` predictions."""

    nats: float
    tokens: int

    @property
    def per_token(self) -> float:
        """Nats."""
        return self.nats / self.tokens

    @property
    def value(self) -> float:
        """Perplexity per token."""
        return math.exp(self.per_token)


def pieces_of(
    documents: Iterable[Sequence[int]], end: int, *, piece: int = PIECE, run_in: int = RUN_IN
) -> list[Piece]:
    """Every token of every document, and its [END], is counted in just one piece."""
    found = []
    for document in documents:
        whole = [end, *document, end]
        for begin in range(0, len(whole) - 1, piece):
            last = min(begin + piece, len(whole) - 1)
            start = max(0, begin - run_in)
            feed = whole[start : last + 1]
            if start > 0:  # as a document begins, so that the first state is one it knows
                feed = [end, *feed]
            found.append(Piece(feed, begin - start + (start > 0)))
    return found


def limited(pieces: Sequence[Piece], tokens: int | None) -> list[Piece]:
    """About so many counted tokens, from pieces spread over the whole; None for all."""
    total = sum(piece.counted for piece in pieces)
    if tokens is None or tokens >= total:
        return list(pieces)
    wanted = max(1, len(pieces) * tokens // total)
    return [pieces[index * len(pieces) // wanted] for index in range(wanted)]


def perplexity(kernel: Kernel, pieces: Sequence[Piece]) -> Perplexity:
    """Reads all pieces, as many at once as the kernel has rows, longest first."""
    ordered = sorted(pieces, key=lambda piece: len(piece.feed), reverse=True)
    nats = math.fsum(
        -logprob
        for begin in range(0, len(ordered), kernel.capacity)
        for logprob in _logprobs(kernel, ordered[begin : begin + kernel.capacity])
    )
    return Perplexity(nats, sum(piece.counted for piece in ordered))


def _logprobs(kernel: Kernel, pieces: Sequence[Piece]) -> list[float]:
    """Those of all counted predictions of pieces that fit into the kernel."""
    read = [0] * len(pieces)
    found: list[float] = []
    for row in range(len(pieces)):
        kernel.open(row)
    while rows := [row for row, piece in enumerate(pieces) if read[row] < len(piece.feed) - 1]:
        work = [
            # One token more than is read: the last one is only predicted.
            RowWork(row=row, feed=pieces[row].feed[read[row] : read[row] + STEPS + 1], score=True)
            for row in rows
        ]
        for row, result in zip(rows, kernel.run(work, STEPS), strict=True):
            skipped = max(0, pieces[row].first - read[row])
            found += [scored.logprob for scored in result.scored[skipped:]]
            read[row] += min(result.read, len(result.scored))
    return found

"""Processes that apply a model to chunks of texts, and the results in order.

Processes in place of threads: tokenizing and writing results hold the interpreter's lock.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from training.errors import DataError, RunError
from training.prediction.predictors import Predictor, PredictorSettings, make_predictor
from training.prediction.tables import lines

AHEAD = 2  # chunks for each process that are read before they are needed


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive texts. ``first``: the number of the first one; ``digest``: of all up to here."""

    first: int
    texts: list[str]
    fields: list[dict[str, Any]]
    digest: str


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """The lines of a chunk. ``failed``: the number of texts with an error."""

    content: bytes
    documents: int
    failed: int
    digest: str


class ChunkPredictor(Protocol):
    """Applies a model to chunks, in processes of its own or in this one."""

    def results(
        self, chunks: Iterable[Chunk], out: Path, columns: tuple[str, ...]
    ) -> Iterator[ChunkResult]:
        """The results of the chunks, in their order, in the format and with the columns of ``out``.

        Raises:
            RunError: a process was killed.
            DataError: that of ``chunks``, after the results of the chunks before it.
        """


class ThisProcess:
    """Applies a model in this process, for a worker of a cluster."""

    def __init__(self, settings: PredictorSettings) -> None:
        self._predictor = make_predictor(settings)

    def results(
        self, chunks: Iterable[Chunk], out: Path, columns: tuple[str, ...]
    ) -> Iterator[ChunkResult]:
        """See :class:`ChunkPredictor`."""
        return (_predicted(self._predictor, chunk, out, columns) for chunk in chunks)


class Workers:
    """A pool of processes. Leaving the block ends them after the chunks in work."""

    def __init__(self, settings: PredictorSettings, processes: int) -> None:
        self._settings = settings
        self._ahead = processes * AHEAD
        self._pool = ProcessPoolExecutor(
            processes,
            # A forked process would have the threads of torch without their stacks.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare,
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def results(
        self, chunks: Iterable[Chunk], out: Path, columns: tuple[str, ...]
    ) -> Iterator[ChunkResult]:
        """See :class:`ChunkPredictor`."""
        pending: deque[Future[ChunkResult]] = deque()
        reader = _Reader(chunks)
        try:
            for chunk in reader:
                pending.append(self._pool.submit(_predict, self._settings, chunk, out, columns))
                if len(pending) > self._ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise RunError(
                "a process of the prediction was killed, perhaps for lack of memory; --resume "
                "continues, and fewer --processes or a smaller --chunk need less memory"
            ) from None
        if reader.fault is not None:
            raise reader.fault


class _Reader:
    """Chunks up to a fault in the data, so that the results of those before it are kept."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = chunks
        self.fault: DataError | None = None

    def __iter__(self) -> Iterator[Chunk]:
        try:
            yield from self._chunks
        except DataError as error:
            self.fault = error


def _prepare() -> None:
    """Prepares a process: one thread, and an end together with the process that began it."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the pool
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _predict(
    settings: PredictorSettings, chunk: Chunk, out: Path, columns: tuple[str, ...]
) -> ChunkResult:
    return _predicted(_predictor(settings), chunk, out, columns)


def _predicted(
    predictor: Predictor, chunk: Chunk, out: Path, columns: tuple[str, ...]
) -> ChunkResult:
    results = predictor.predict(chunk.texts, chunk.first)
    rows = [{**given, **result} for given, result in zip(chunk.fields, results, strict=True)]
    copied = tuple(chunk.fields[0]) if chunk.fields else ()
    content = lines(out, (*copied, *columns, "error"), rows)
    return ChunkResult(
        content, len(rows), sum("error" in result for result in results), chunk.digest
    )


@functools.cache
def _predictor(settings: PredictorSettings) -> Predictor:
    return make_predictor(settings)

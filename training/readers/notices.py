"""Notes and warnings about the data of a command, for the person who runs it.

They go through the standard library's logging. A command shows each message once, however often
its files are read. Does not know who tells what.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOG = logging.getLogger("training.data")
LOG.setLevel(logging.INFO)
LOG.addHandler(logging.NullHandler())  # silent where nobody shows them
NAMES = {logging.INFO: "note", logging.WARNING: "warning"}


@contextmanager
def shown_notices() -> Iterator[None]:
    """Writes notes and warnings to standard error, each once, until the block ends."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Unseen())
    handler.setFormatter(_Plain())
    propagated, LOG.propagate = LOG.propagate, False
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.propagate = propagated


class _Unseen(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message in self._seen:
            return False
        self._seen.add(message)
        return True


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{NAMES.get(record.levelno, 'error')}: {' '.join(record.getMessage().split())}"

"""Notes and warnings about the data of a command.

They are log records of the standard library. A command prints each message once, however often it
reads its files.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOG = logging.getLogger("training.data")
LOG.setLevel(logging.INFO)
LOG.addHandler(logging.NullHandler())  # silent unless a command shows them
LEVEL_NAMES = {logging.INFO: "note", logging.WARNING: "warning"}


@contextmanager
def shown_notices() -> Iterator[None]:
    """A block in which notes and warnings are written to standard error, each once."""
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
        return (
            f"{LEVEL_NAMES.get(record.levelno, 'error')}: {' '.join(record.getMessage().split())}"
        )

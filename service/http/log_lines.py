"""A log formatter under which text from clients or files cannot start a log line."""

from __future__ import annotations

import logging
import time

from model.errors import one_line


class LineFormatter(logging.Formatter):
    """Indents every line of a record after its first and escapes other control characters."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._second = 0
        self._prefix = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """The local time with milliseconds. The date is formatted once a second, since that takes
        longer than the rest of a line.
        """
        second = int(record.created)
        if second != self._second or not self._prefix:
            self._second = second
            self._prefix = time.strftime(self.default_time_format, self.converter(second))
        return f"{self._prefix},{int(record.msecs):03d}"

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(map(one_line, super().format(record).splitlines()))

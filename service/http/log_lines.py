"""A log formatter under which text from clients or files cannot start a log line."""

from __future__ import annotations

import logging

from model.errors import one_line


class LineFormatter(logging.Formatter):
    """Indents every line of a record after its first and escapes other control characters."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(map(one_line, super().format(record).splitlines()))

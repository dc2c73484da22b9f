"""Log lines: what a client or a file brings into a message cannot begin a line of its own."""

from __future__ import annotations

import logging
import textwrap
from types import TracebackType

from model.errors import one_line


class LineFormatter(logging.Formatter):
    """Escapes control characters in messages and indents the lines of a traceback."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        lines = super().formatException(ei).splitlines()
        return "\n".join(textwrap.indent(one_line(line), "    ") for line in lines)

"""Log records as JSON, one object a line.

It is a formatter of the standard library, since uvicorn and torch log there; a logging package
would add another way beside it.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from service.telemetry.request_record import CURRENT


def _moment(record: logging.LogRecord) -> str:
    """The time of a record in UTC, in the format of RFC 3339."""
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """Each record is one line of ASCII, so no text of a client or a file can start a line.

    ``extra={"fields": {...}}`` of a log call adds fields. A record that is logged while a request
    is handled has its ``request_id``.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request = CURRENT.get()
        if request is not None:
            entry["request_id"] = request.id
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)

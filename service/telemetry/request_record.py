"""The request that the current code works for: its id, its model, its trace.

``AccessLogMiddleware`` sets it for the task of the event loop that handles the request.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass

from service.telemetry.tracing import RequestTrace

HEADER = b"x-request-id"
LONGEST_ID = 128
_VALID_ID = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,%d}" % LONGEST_ID)
_IDS = random.Random()  # not secret; the system's generator would release the interpreter's lock


@dataclass(slots=True)
class RequestRecord:
    """``model`` is set when a task is accepted, so it is a name of this service."""

    id: str
    model: str | None = None
    trace: RequestTrace | None = None


CURRENT: ContextVar[RequestRecord | None] = ContextVar("request", default=None)


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's X-Request-ID, or a new random one.

    An id of the client has at most LONGEST_ID characters of letters, digits and ``._~:/+=@-``;
    another one is replaced.
    """
    for name, value in headers:
        if name == HEADER and _VALID_ID.fullmatch(value):
            return value.decode("ascii")
    return f"{_IDS.getrandbits(128):032x}"

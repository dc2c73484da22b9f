"""ASGI middleware that answers short requests without the layers of the framework.

Finding a route, resolving dependencies and validating take FastAPI about 0.15 ms, as long as the
work of a short request. The request here is parsed and validated by the same functions and passed
to the same handler. What is not plainly valid goes to the framework, which reports it: other
methods and paths, headers that need a look, large bodies and invalid fields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine.api.errors import EngineError
from service.http.dependencies import ServiceContext
from service.http.errors import ApiError, response_to
from service.http.json_bounds import parse_json
from service.http.request_body import QUICK_BYTES, replaying
from service.http.request_schemas import RequestFields

_JSON = b"application/json"
_LOOKED_AT = frozenset({b"content-encoding", b"transfer-encoding", b"expect"})
"""Headers of requests that are left to the framework."""


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """The schema of a route's body, and the handler that FastAPI calls for the route."""

    schema: type[RequestFields]
    handle: Callable[[Any, Request, ServiceContext], Awaitable[Response]]


class DirectRouteMiddleware:
    """Calls the handlers of ``routes`` itself. It has to be the innermost middleware."""

    def __init__(
        self, app: ASGIApp, *, routes: Mapping[str, DirectRoute], context: ServiceContext
    ) -> None:
        self._app = app
        self._routes = routes
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or not _is_plain(scope):
            await self._app(scope, receive, send)
            return
        message = await receive()
        fields = _fields(route, message)
        if fields is None:
            await self._app(scope, replaying(message, receive), send)
            return
        try:
            response = await route.handle(fields, Request(scope, receive), self._context)
            await response(scope, receive, send)
        except (ApiError, EngineError) as error:  # before a response has started
            await response_to(error)(scope, receive, send)


def _is_plain(scope: Scope) -> bool:
    """Whether it is a POST of JSON without any header that changes how the body is read."""
    if scope["method"] != "POST":
        return False
    declared = None
    for name, value in scope["headers"]:
        if name == b"content-type":
            if declared is not None:
                return False
            declared = value
        elif name in _LOOKED_AT:
            return False
    return declared == _JSON


def _fields(route: DirectRoute, message: Message) -> RequestFields | None:
    """The fields of a short, valid body; None for any other."""
    body = message.get("body", b"")
    if not body or message.get("more_body", False) or len(body) > QUICK_BYTES:
        return None
    try:
        return route.schema.model_validate(parse_json(body))
    except (ApiError, ValidationError):
        return None

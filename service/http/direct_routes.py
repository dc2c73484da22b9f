"""Short requests without the layers of the framework.

Its middleware, finding a route, resolving dependencies and validating take FastAPI longer than the
work of a short request. ``DirectRoutes`` parses and validates the body with the same functions and
calls the same handler. ``DirectApp`` sends plain requests to it and all others to the framework,
which also documents the routes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.engine.api.errors import EngineError
from service.http.dependencies import ServiceContext
from service.http.errors import ApiError, from_problems, response_to
from service.http.json_bounds import parse_json
from service.http.request_body import QUICK_BYTES
from service.http.request_schemas import RequestFields

_LENGTH_DIGITS = len(str(QUICK_BYTES))
_UNUSUAL_HEADERS = frozenset(
    {b"content-encoding", b"transfer-encoding", b"expect", b"origin", b"trailer"}
)
"""Headers of requests that are left to the framework."""


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """The schema of a route's body, and the handler that FastAPI calls for the route."""

    schema: type[RequestFields]
    handle: Callable[[Any, Request, ServiceContext], Awaitable[Response]]


class DirectRoutes:
    """An ASGI app for the bodies of plain requests, read before by ``BodyLimitMiddleware``."""

    def __init__(self, routes: Mapping[str, DirectRoute], context: ServiceContext) -> None:
        self._routes = routes
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes[scope["path"]]
        message = await receive()
        try:
            fields = _fields(route.schema, message["body"])
            response = await route.handle(fields, Request(scope, receive), self._context)
            await response(scope, receive, send)
        except (ApiError, EngineError) as error:  # before a response has started
            await response_to(error)(scope, receive, send)


class DirectApp:
    """Sends a POST of short JSON to one of ``paths`` to ``direct``, and the rest to ``framework``.

    Each of the two has its own middleware.
    """

    def __init__(self, framework: ASGIApp, direct: ASGIApp, paths: Collection[str]) -> None:
        self._framework = framework
        self._direct = direct
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in self._paths and _is_plain(scope):
            await self._direct(scope, receive, send)
        else:
            await self._framework(scope, receive, send)


def _is_plain(scope: Scope) -> bool:
    """Whether it is a POST of a short JSON body, without headers that need a further look."""
    if scope["method"] != "POST":
        return False
    length = declared = None
    for name, value in scope["headers"]:
        if name in _UNUSUAL_HEADERS:
            return False
        if name == b"content-length":
            length = value
        elif name == b"content-type":
            if declared is not None:
                return False
            declared = value
    if length is None or declared != b"application/json" or len(length) > _LENGTH_DIGITS:
        return False
    return 0 < int(length) <= QUICK_BYTES


def _fields(schema: type[RequestFields], body: bytes) -> RequestFields:
    """The fields of a request. Raises ApiError."""
    try:
        return schema.model_validate(parse_json(body))
    except ValidationError as error:
        raise from_problems(error.errors(include_url=False)) from error

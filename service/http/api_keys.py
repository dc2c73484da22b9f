"""Authentication by API keys and limits on the rate of requests, if the operator has set any."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.backend.metrics import ClientLimit
from service.clients.concurrency import ConcurrencyLimits
from service.clients.keyring import Keyring
from service.clients.rate_limits import RateLimits
from service.engine.api.errors import Overloaded, RateLimited
from service.http.access.admin_access import ADMIN_PREFIX
from service.http.errors import ApiError, from_engine

OPEN_PATHS = frozenset({"/", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json"})
OPEN_PREFIXES = (
    "/playground/",  # the files of the pages for browsers
    ADMIN_PREFIX,  # has a key of its own
)


class ApiKeyMiddleware:
    """Answers 401 unless a valid key is sent in Authorization or X-API-Key.

    Health and metrics are open for probes and scrapers, and so is the documentation.
    """

    def __init__(self, app: ASGIApp, *, keys: Keyring) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_open(scope["path"]):
            try:
                tenant = self._tenant(Headers(scope=scope))
            except ApiError as error:
                await error.response()(scope, receive, send)
                return
            scope.setdefault("state", {})["tenant"] = tenant
        await self._app(scope, receive, send)

    def _tenant(self, headers: Headers) -> str:
        offered = _offered_key(headers)
        if offered is None:
            raise _unauthorized(
                "this service requires an API key: send it as Authorization: Bearer KEY"
            )
        owner = self._keys.owner(offered)
        if owner is None:
            raise _unauthorized("the API key is not valid")
        return owner.tenant


class ClientLimitMiddleware:
    """Answers 429 to a client that sends requests faster than it may, or has as many open ones as
    it may. A request is open until its response is complete. Paths that need no key are not
    limited.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        rates: RateLimits,
        concurrency: ConcurrencyLimits,
        on_refusal: Callable[[ClientLimit], None],
    ) -> None:
        self._app = app
        self._rates = rates
        self._concurrency = concurrency
        self._on_refusal = on_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        client = client_of(Request(scope))
        with ExitStack() as stack:
            try:
                self._rates.count_request(client)
                stack.enter_context(self._concurrency.place(client))
            except Overloaded as error:
                limited = isinstance(error, RateLimited)
                self._on_refusal("rate_limited" if limited else "concurrency_limited")
                await from_engine(error).response()(scope, receive, send)
                return
            await self._app(scope, receive, send)


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})


def add_security_to_schema(schema: dict[str, Any]) -> None:
    """Declare the API key in an OpenAPI schema, for all paths that are not open."""
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    schema["components"]["securitySchemes"] = schemes
    schema["security"] = [{name: []} for name in schemes]
    for path, operations in schema["paths"].items():
        if _is_open(path):
            for operation in operations.values():
                operation["security"] = []


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


def tenant_of(request: Request) -> str:
    """The digest of the request's key; the same for all requests if there are no keys."""
    return getattr(request.state, "tenant", "")


def client_of(request: Request) -> str:
    """The client for fair scheduling: the key, or else the address of the connection.

    IPv6 clients are identified by network (/64), since they can use any address in it.
    """
    key = tenant_of(request)
    if key or request.client is None:
        return key
    address, is_ipv6, _ = request.client.host.partition(":")
    if not is_ipv6:
        return address
    return str(ipaddress.ip_network((request.client.host.partition("%")[0], 64), strict=False))


def _offered_key(headers: Headers) -> bytes | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip().encode()
    key = headers.get("x-api-key")
    return None if key is None else key.encode()

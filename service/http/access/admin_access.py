"""Access to the actions of the operator: on a port of their own, with a key of their own, or both.

Without either there are no such routes.
"""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http.errors import ApiError

ADMIN_PREFIX = "/admin/"
_SERVED_ON_ADMIN_PORT = (ADMIN_PREFIX, "/health/", "/metrics")


class AdminAccess:
    """Checks requests for actions of the operator.

    ``key``: must be sent if it is not empty. ``port``: the only port with these routes, once the
    server has set it.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self.port: int | None = None

    def check(self, request: Request) -> None:
        """Raises ApiError: 404 where there are no such routes, 401 without the key, 403 for a
        request that a web page makes.
        """
        if not (self._key or self.port) or (self.port and not self.is_admin_port(request.scope)):
            raise _no_such_route()
        if "origin" in request.headers:
            raise ApiError(403, "forbidden", "actions of the operator are not for web pages")
        scheme, _, offered = request.headers.get("authorization", "").partition(" ")
        valid = scheme.lower() == "bearer" and hmac.compare_digest(
            offered.strip().encode(), self._key
        )
        if self._key and not valid:
            message = "this needs the key of the operator: send it as Authorization: Bearer KEY"
            raise ApiError(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})

    def is_admin_port(self, scope: Scope) -> bool:
        """Whether a request arrived on the port for actions of the operator."""
        server = scope.get("server")
        return self.port is not None and server is not None and server[1] == self.port


class AdminPortMiddleware:
    """Serves actions of the operator, health and metrics on that port, and no other routes."""

    def __init__(self, app: ASGIApp, *, access: AdminAccess) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_served = scope["type"] != "http" or scope["path"].startswith(_SERVED_ON_ADMIN_PORT)
        if self._access.is_admin_port(scope) and not is_served:
            await _no_such_route().response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _no_such_route() -> ApiError:
    return ApiError(404, "not_found", "no such route; GET /docs lists the routes")

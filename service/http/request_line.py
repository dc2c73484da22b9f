"""Paths and methods that mean the same as another one: a trailing slash, HEAD, OPTIONS *.

Knows no routes.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

ALLOWED = "GET, HEAD, POST"


class TrailingSlashMiddleware:
    """ASGI middleware: a path that ends in a slash is answered like the one without it.

    A redirect would make clients send a POST again as a GET. ``raw_path`` stays as it was sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["path"]) > 1:
            scope = {**scope, "path": scope["path"].removesuffix("/")}
        await self._app(scope, receive, send)


class HeadAndOptionsMiddleware:
    """ASGI middleware: HEAD is answered like GET, and OPTIONS * with the methods of the service.

    The connection leaves out the body of an answer to HEAD.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "*":
            await Response(status_code=204, headers={"Allow": ALLOWED})(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)

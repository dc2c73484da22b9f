"""ASGI middleware for equivalent paths and methods: a trailing slash, HEAD, OPTIONS *."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

ALLOWED = "GET, HEAD, POST"


class TrailingSlashMiddleware:
    """Handles a path with a trailing slash like the path without it.

    After a redirect, clients would send a POST as a GET. ``raw_path`` stays as it was sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["path"]) > 1:
            scope = {**scope, "path": scope["path"].removesuffix("/")}
        await self._app(scope, receive, send)


class HeadAndOptionsMiddleware:
    """Handles HEAD like GET, and answers OPTIONS * with the methods of the service.

    The connection omits the body of a response to HEAD.
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

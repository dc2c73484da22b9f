"""Static files for browsers, with an ETag and a strict content security policy.

The files of a directory are listed once, and only a listed file is served: a path of a request
never reaches the file system. A file is read and compressed at its first request.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import Response

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-cache",  # browsers ask again, and get 304 for an unchanged file
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept, Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


class _Content(NamedTuple):
    plain: bytes
    compressed: bytes
    etag: str


class StaticFiles:
    """The files below a directory whose suffix is in ``MEDIA_TYPES``.

    Example:
        >>> files = StaticFiles(Path("service/playground"))
        >>> files.response("index.html", Headers({}))
    """

    def __init__(self, directory: Path) -> None:
        self._paths: Mapping[str, Path] = {
            path.relative_to(directory).as_posix(): path
            for path in sorted(directory.rglob("*"))
            if path.suffix in MEDIA_TYPES
        }

    @property
    def names(self) -> list[str]:
        """The paths of the files, relative to the directory."""
        return list(self._paths)

    def response(self, name: str, headers: Headers) -> Response | None:
        """The file, or 304 if the client has it already; None if there is no such file."""
        path = self._paths.get(name)
        if path is None:
            return None
        content = _read(path)
        common = {**_HEADERS, "ETag": content.etag}
        if content.etag in _etags(headers.get("if-none-match", "")):
            return Response(status_code=304, headers=common)
        if "gzip" in headers.get("accept-encoding", ""):
            common["Content-Encoding"] = "gzip"
            return Response(content.compressed, headers=common, media_type=MEDIA_TYPES[path.suffix])
        return Response(content.plain, headers=common, media_type=MEDIA_TYPES[path.suffix])


@functools.cache
def _read(path: Path) -> _Content:
    plain = path.read_bytes()
    digest = hashlib.sha256(plain).hexdigest()[:32]
    # weak, since the plain and the compressed body share it
    return _Content(plain, gzip.compress(plain, mtime=0), f'W/"{digest}"')


def _etags(header: str) -> list[str]:
    return [etag.strip() for etag in header.split(",")]

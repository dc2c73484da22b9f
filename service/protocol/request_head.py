"""Strict parsing of the head of a request (RFC 9110, RFC 9112).

Everything that two servers could parse differently is refused: whitespace before a colon, folded
lines, two lengths, a length beside a transfer coding, a coding other than chunked. The bytes were
checked with ``FORBIDDEN`` before, so they have no control characters and no bare line endings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from service.protocol.errors import Header, InvalidRequestError

MAX_HEADERS = 128
FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?=[^\n])")
"""Control characters, and CR or LF alone."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_NAME = re.compile(_TOKEN)
_HOST = rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(?::[0-9]*)?"
_HOST_VALUE = re.compile(_HOST)
_ABSOLUTE = re.compile(rb"https?://(" + _HOST + rb")(/[^?]*)?(\?.*)?", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]+")
_LONGEST_LENGTH = 18  # digits
_ALLOWED = (b"allow", b"GET, HEAD, POST")


@dataclass(slots=True)
class RequestLine:
    """The first line. ``host`` is set only for a target in absolute form."""

    method: str
    raw_path: bytes
    query: bytes
    host: bytes | None
    version: str

    @property
    def path(self) -> str:
        """The percent-decoded path, as ASGI requires."""
        text = self.raw_path.decode("ascii")
        return unquote(text) if "%" in text else text


@dataclass(slots=True)
class RequestHead:
    """A request without its body. ``length`` is None for a chunked body."""

    line: RequestLine
    headers: list[Header]
    length: int | None
    keep_alive: bool
    expects_continue: bool


def parse_request_line(line: bytes) -> RequestLine:
    """The parts of a request line. Raises InvalidRequestError."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise InvalidRequestError(400, "the request line is not METHOD TARGET HTTP/1.1")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise InvalidRequestError(505, "this service supports HTTP/1.1 and HTTP/1.0")
    if method == b"CONNECT":
        message = "this service is not a proxy; use GET, HEAD or POST"
        raise InvalidRequestError(405, message, [_ALLOWED])
    host = None
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
    elif target == b"*" and method == b"OPTIONS":
        path, query = target, b""
    else:
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or not absolute[1] or b"#" in target:
            raise InvalidRequestError(400, "the request target is not a path or an http:// address")
        host, path, query = absolute[1], absolute[2] or b"/", (absolute[3] or b"?")[1:]
    version = "1.0" if minor == b"0" else "1.1"  # a later minor version is read as 1.1
    return RequestLine(method.decode("ascii"), path, query, host, version)


def parse_head(line: RequestLine, lines: list[bytes]) -> RequestHead:
    """The head with these header lines. Raises InvalidRequestError."""
    headers = parse_headers(lines)
    values_of: dict[bytes, list[bytes]] = {name: [] for name in _WATCHED}
    for name, value in headers:
        if name in values_of:
            values_of[name].append(value)
    _check_host(line, values_of[b"host"])
    if line.host is not None:  # overrides the header (RFC 9112, 3.2.2)
        headers = [(name, value) for name, value in headers if name != b"host"]
        headers.append((b"host", line.host))
    length = _body_length(line, values_of[b"content-length"], values_of[b"transfer-encoding"])
    return RequestHead(
        line=line,
        headers=headers,
        length=length,
        keep_alive=_keep_alive(line, values_of[b"connection"]),
        expects_continue=_expects_continue(line, values_of[b"expect"]) and length != 0,
    )


_WATCHED = (b"host", b"content-length", b"transfer-encoding", b"connection", b"expect")


def parse_headers(lines: list[bytes]) -> list[Header]:
    """Names in lower case, and values without surrounding whitespace. Raises
    InvalidRequestError.
    """
    if len(lines) > MAX_HEADERS:
        raise InvalidRequestError(431, f"the request has more than {MAX_HEADERS} header lines")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or _NAME.fullmatch(name) is None:
            raise InvalidRequestError(400, "a header line is not NAME: VALUE")
        headers.append((name.lower(), value.strip(b" \t")))
    return headers


def _check_host(line: RequestLine, values: list[bytes]) -> None:
    if len(values) > 1 or (not values and line.version == "1.1"):
        raise InvalidRequestError(400, "the request must have the header Host once")
    if values and _HOST_VALUE.fullmatch(values[0]) is None:
        raise InvalidRequestError(400, "the header Host is not HOST or HOST:PORT")


def _body_length(line: RequestLine, lengths: list[bytes], codings: list[bytes]) -> int | None:
    if codings:
        _check_codings(line, codings, lengths)
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise InvalidRequestError(400, "the header Content-Length is not one whole number")
    if len(lengths[0].lstrip(b"0")) > _LONGEST_LENGTH:
        raise InvalidRequestError(413, "the header Content-Length announces too large a body")
    return int(lengths[0].lstrip(b"0") or b"0")


def _check_codings(line: RequestLine, codings: list[bytes], lengths: list[bytes]) -> None:
    if line.version == "1.0":
        raise InvalidRequestError(400, "HTTP/1.0 has no Transfer-Encoding; send a Content-Length")
    if lengths:
        message = "the request has both Transfer-Encoding and Content-Length; send one of them"
        raise InvalidRequestError(400, message)
    *others, last = _list_items(codings)
    if last != b"chunked" or b"chunked" in others or not all(map(_NAME.fullmatch, others)):
        raise InvalidRequestError(400, "the header Transfer-Encoding must be chunked")
    if others:
        raise InvalidRequestError(501, "this service supports only the transfer coding chunked")


def _keep_alive(line: RequestLine, values: list[bytes]) -> bool:
    options = _list_items(values)
    return b"close" not in options and (line.version == "1.1" or b"keep-alive" in options)


def _expects_continue(line: RequestLine, values: list[bytes]) -> bool:
    if not values or line.version == "1.0":  # 1.0 has no such header (RFC 9110, 10.1.1)
        return False
    if [value.lower() for value in values] != [b"100-continue"]:
        raise InvalidRequestError(417, "this service supports only the expectation 100-continue")
    return True


def _list_items(values: list[bytes]) -> list[bytes]:
    return [item.strip(b" \t").lower() for value in values for item in value.split(b",")]

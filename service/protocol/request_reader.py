"""A parser of requests from a stream of bytes, one request at a time, without input or output.

``feed`` adds bytes. ``head`` returns the next request once its head is complete. ``body`` returns
the available part of its body until ``body_complete``; the next request is not parsed before that.
Each byte is searched once, for any division into pieces. The buffer is bounded by the longest head
and by the bytes of one ``feed``.
"""

from __future__ import annotations

import re

from service.protocol.errors import InvalidRequestError
from service.protocol.request_head import (
    FORBIDDEN,
    RequestHead,
    RequestLine,
    parse_head,
    parse_headers,
    parse_request_line,
)

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_LONGEST_CHUNK_LINE = 256
_MOST_EXTENSION_BYTES = 1 << 14
_MOST_CHUNKS_AT_ONCE = 512  # about a millisecond
_MOST_EMPTY_BYTES = 64  # of empty lines before a request
_END = b"\r\n\r\n"


class RequestReader:
    """Raises InvalidRequestError on bytes that are not a request, and cannot be used after that."""

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._skipped = 0
        self._line: RequestLine | None = None
        self._line_end = 0
        self._body: _LengthBody | _ChunkedBody | None = None

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._buffer += data

    @property
    def buffered(self) -> int:
        """Bytes that were fed and not yet returned."""
        return len(self._buffer)

    @property
    def body_complete(self) -> bool:
        """Whether the last byte of the body was returned."""
        return self._body is None

    @property
    def body_rest(self) -> int | None:
        """Bytes of the body that were not returned yet; None if the length is unknown."""
        return self._body.rest if self._body is not None else 0

    def head(self) -> RequestHead | None:
        """The next request, or None until its head is complete."""
        if not self._buffer:
            return None
        if self._line is None:
            self._skip_empty_lines()
        start = max(0, self._searched - len(_END) + 1)
        end = self._buffer.find(_END, start)
        self._check_characters(start, end)
        self._searched = len(self._buffer)
        self._read_line(start)
        if (end if end >= 0 else len(self._buffer)) > self._max_head_bytes:
            message = f"the head of the request is longer than {self._max_head_bytes} bytes"
            raise InvalidRequestError(431, message)
        if end < 0 or self._line is None:
            return None
        lines = bytes(self._buffer[self._line_end + 2 : end]).split(b"\r\n")
        head = parse_head(self._line, [] if lines == [b""] else lines)
        del self._buffer[: end + len(_END)]
        self._searched, self._skipped, self._line = 0, 0, None
        if head.length is None:
            self._body = _ChunkedBody(self._buffer, self._max_head_bytes)
        elif head.length:
            self._body = _LengthBody(self._buffer, head.length)
        return head

    def body(self) -> tuple[bytes, bool]:
        """The available part of the body, and whether the body is complete.

        If there are very many chunks, later calls return the rest.
        """
        if self._body is None:
            return b"", True
        data = self._body.read()
        if self._body.rest == 0:
            self._body = None
        return data, self._body is None

    def _skip_empty_lines(self) -> None:
        """Skip a few empty lines before a request (RFC 9112, 2.2)."""
        start = 0
        while self._buffer.startswith(b"\r\n", start):
            start += 2
            if self._skipped + start > _MOST_EMPTY_BYTES:
                raise InvalidRequestError(400, "too many empty lines stand before the request")
        self._skipped += start
        del self._buffer[:start]
        self._searched = max(0, self._searched - start)

    def _check_characters(self, start: int, end: int) -> None:
        stop = len(self._buffer) if end < 0 else end + len(_END)
        if FORBIDDEN.search(self._buffer, start, min(stop, self._max_head_bytes + len(_END))):
            message = "the head holds a control character or a line that does not end in CR LF"
            raise InvalidRequestError(400, message)

    def _read_line(self, start: int) -> None:
        """Parse the request line as soon as it is complete, so that other protocols are refused
        early.
        """
        if self._line is None:
            self._line_end = self._buffer.find(b"\r\n", start, self._max_head_bytes)
            if self._line_end > 0:
                self._line = parse_request_line(bytes(self._buffer[: self._line_end]))


class _LengthBody:
    """A body with a Content-Length."""

    def __init__(self, buffer: bytearray, length: int) -> None:
        self._buffer = buffer
        self.rest = length

    def read(self) -> bytes:
        data = bytes(self._buffer[: self.rest])
        del self._buffer[: len(data)]
        self.rest -= len(data)
        return data


class _ChunkedBody:
    """A body in chunks. Extensions and trailers are checked, counted and discarded."""

    def __init__(self, buffer: bytearray, max_trailer_bytes: int) -> None:
        self._buffer = buffer
        self._max_trailer_bytes = max_trailer_bytes
        self._chunk_rest = 0
        self._within_chunk = False
        self._within_trailers = False
        self._extension_bytes = 0
        self._searched = 0
        self.rest: int | None = None

    def read(self) -> bytes:
        parts: list[bytes] = []
        while len(parts) < _MOST_CHUNKS_AT_ONCE and not self._within_trailers:
            if not self._within_chunk and not self._begin_chunk():
                break
            if self._chunk_rest:
                part = bytes(self._buffer[: self._chunk_rest])
                del self._buffer[: len(part)]
                self._chunk_rest -= len(part)
                parts.append(part)
            if not self._end_chunk():
                break
        if self._within_trailers:
            self._read_trailers()
        return b"".join(parts)

    def _begin_chunk(self) -> bool:
        end = self._buffer.find(b"\r\n", 0, _LONGEST_CHUNK_LINE + 2)
        if end < 0:
            self._check_begun_line()
            return False
        match = _CHUNK_LINE.fullmatch(self._buffer, 0, end)
        if match is None:
            raise InvalidRequestError(400, "a chunk of the body does not begin with its size")
        self._extension_bytes += end - match.end(1)
        if self._extension_bytes > _MOST_EXTENSION_BYTES:
            raise InvalidRequestError(400, "the chunks of the body have too many extensions")
        self._chunk_rest = int(match[1], 16)
        del self._buffer[: end + 2]
        if self._chunk_rest:
            self._within_chunk = True
        else:
            self._within_trailers = True
        return self._within_chunk

    def _check_begun_line(self) -> None:
        """Refuse at once a line that no further byte can make valid."""
        begun = bytes(self._buffer[: _LONGEST_CHUNK_LINE + 1]).removesuffix(b"\r")
        if len(begun) > _LONGEST_CHUNK_LINE or (begun and not _CHUNK_LINE.fullmatch(begun)):
            raise InvalidRequestError(400, "a chunk of the body does not begin with its size")

    def _end_chunk(self) -> bool:
        """Returns True once the line ending after a chunk was read."""
        if self._chunk_rest or not self._buffer:
            return False
        if not b"\r\n".startswith(bytes(self._buffer[:2])):
            raise InvalidRequestError(400, "a chunk of the body is longer than its size")
        if len(self._buffer) < 2:
            return False
        del self._buffer[:2]
        self._within_chunk = False
        return True

    def _read_trailers(self) -> None:
        if self._buffer.startswith(b"\r\n"):
            end, length = 0, 2
        else:
            end = self._buffer.find(_END, max(0, self._searched - 3))
            length = end + len(_END)
        stop = len(self._buffer) if end < 0 else length
        if stop > self._max_trailer_bytes:
            raise InvalidRequestError(431, "the trailers of the body are too long")
        if FORBIDDEN.search(self._buffer, max(0, self._searched - 1), stop):
            raise InvalidRequestError(400, "the trailers hold a character that is not allowed")
        self._searched = len(self._buffer)
        if end < 0:
            return
        if end:
            parse_headers(bytes(self._buffer[:end]).split(b"\r\n"))
        del self._buffer[:length]
        self.rest = 0

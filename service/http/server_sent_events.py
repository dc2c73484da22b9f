"""Server-sent events: one ``data:`` line of JSON per event, one write per turn of the engine.

A refusal before the first event has its own status. After the status line, an error is an event.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring as quoted
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.backend.async_engine import Reply
from service.engine.api.tasks import Echo, Event, Failed, Finished, Token, TokenLogprob
from service.http.errors import ClientGoneError, from_engine
from service.http.json_response import array, between_turns, cancelled_when_gone, slices_of

MAX_PLAIN_TOKENS = 256
_PING = b": ping\n\n"
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),  # nginx would buffer the events
    ],
}


EVENT_SCHEMA = {
    "type": "object",
    "properties": {"data": {"type": "string"}},
    "required": ["data"],
}
"""The schema of one event, as OpenAPI 3.2 describes streams."""


class EventProtocol(Protocol):
    """Writes events as the lines of a stream."""

    def frames(self, events: Sequence[Event]) -> Iterator[bytes]:
        """The lines of one turn's events, in parts."""

    def plain_turn(self, events: Sequence[Event]) -> bytes | None:
        """The lines of a turn with few tokens without logprobs, of which there are thousands per
        second, and ends without a state; None if there are other events.
        """


class EventStream(Response):
    """Sends a generation as it happens, and cancels it if the client disconnects."""

    media_type = "text/event-stream"

    def __init__(
        self, reply: Reply, *, ping_seconds: float, protocol: EventProtocol | None = None
    ) -> None:
        super().__init__()
        self._reply = reply
        self._ping_seconds = ping_seconds
        self._protocol = protocol or _GenerationProtocol()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._reply, cancelled_when_gone(self._reply, receive):
            # The status line is delayed until the first event, for ping_seconds at most: a deadline
            # that passes in the queue is then a 504.
            events = await self._reply.events(self._ping_seconds)
            if events and isinstance(events[0], Failed):
                await from_engine(events[0].error).response()(scope, receive, send)
                return
            await send(_START)
            await self._send_events(events, send)

    async def _send_events(self, events: list[Event], send: Send) -> None:
        while True:
            if self._reply.cancelled:
                raise ClientGoneError
            ended = bool(events) and events[-1].final
            quick = self._protocol.plain_turn(events) if events else _PING
            if quick is not None:
                await _send_body(send, quick, more=not ended)
                if ended:
                    return
            else:
                async for body in between_turns(slices_of(self._protocol.frames(events))):
                    await _send_body(send, body, more=True)
            if ended:  # the end is sent once the client has received the rest
                await _send_body(send, b"", more=False)
                return
            events = await self._reply.events(self._ping_seconds)


async def _send_body(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def frames(events: Iterable[Event]) -> Iterator[bytes]:
    """The lines of one turn's events, in parts."""
    for event in events:
        if isinstance(event, Token):
            yield _token(event)
        elif isinstance(event, Finished):
            yield from _finish(event)
        elif isinstance(event, Echo):
            yield from _echo(event)
        elif isinstance(event, Failed):
            yield _line(from_engine(event.error).body)
        else:
            raise TypeError(f"not an event of a generation: {event!r}")


def _token(event: Token) -> bytes:
    if event.token is None:
        return _plain_lines(event).encode()
    return _line({"index": event.index, "text": event.text, **_token_fields(event.token)})


def _finish(event: Finished) -> Iterator[bytes]:
    if event.text:
        yield _line({"index": event.index, "text": event.text})
    fields: dict[str, Any] = {
        "index": event.index,
        "finish_reason": event.reason,
        "usage": {
            "prompt_tokens": event.prompt_tokens,
            "cached_tokens": event.cached_tokens,
            "completion_tokens": event.completion_tokens,
        },
        "seed": event.seed,
    }
    if event.state is not None:
        fields["state"] = event.state
    yield _line(fields)


class _GenerationProtocol:
    """The stream of /generate."""

    def frames(self, events: Sequence[Event]) -> Iterator[bytes]:
        return frames(events)

    def plain_turn(self, events: Sequence[Event]) -> bytes | None:
        parts: list[bytes] = []
        tokens = 0
        for event in events:
            if isinstance(event, Token) and event.token is None:
                parts.append(_plain_lines(event).encode())
                tokens += len(event.texts) or 1
            elif isinstance(event, Finished) and event.state is None:
                parts += _finish(event)
            else:
                return None
        return b"".join(parts) if tokens <= MAX_PLAIN_TOKENS else None


def _plain_lines(event: Token) -> str:
    begin = f'data: {{"index":{event.index},"text":'
    lines = f"}}\n\n{begin}".join(map(quoted, event.texts or (event.text,)))
    return f"{begin}{lines}}}\n\n"


def _echo(event: Echo) -> Iterator[bytes]:
    yield f'data: {{"index":{event.index},"text":{quoted(event.text)}'.encode()
    if event.tokens:
        yield b',"tokens":'
        yield from array(event.tokens, scored_tokens)
    yield b"}\n\n"


def _token_fields(token: TokenLogprob) -> dict[str, Any]:
    fields = scored_token(token)
    return {"token": fields.pop("text"), **fields}


def scored_token(token: TokenLogprob) -> dict[str, Any]:
    """A token's fields, with ``top`` only if alternatives were requested."""
    fields: dict[str, Any] = {"text": token.text, "logprob": token.logprob}
    if token.top:
        fields["top"] = [{"text": text, "logprob": logprob} for text, logprob in token.top]
    if token.end is not None:
        fields["end_logprob"] = token.end
    return fields


def scored_tokens(tokens: Sequence[TokenLogprob]) -> bytes:
    """A JSON list of tokens."""
    return to_json_bytes([scored_token(token) for token in tokens])


def to_json_bytes(value: object) -> bytes:
    """Compact JSON."""
    return _ENCODER.encode(value).encode()


def _line(fields: Mapping[str, Any]) -> bytes:
    return b"data: " + to_json_bytes(fields) + b"\n\n"

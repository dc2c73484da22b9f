"""The chunks of a streamed completion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring as quoted

from service.engine.api.tasks import Echo, Event, Failed, Finished, Token
from service.http.errors import ApiError, draining, from_engine
from service.http.openai.errors import openai_error
from service.http.openai.request_schemas import CompletionRequest
from service.http.server_sent_events import plain_tokens, to_json_bytes
from service.routes.openai.completion_format import (
    CompletionHeader,
    PlacedToken,
    TokenPlacer,
    UsageCounter,
    finish_reason,
    logprobs_json,
)

_DONE = b"data: [DONE]\n\n"


class CompletionStream:
    """Writes the chunks of one stream; implements
    :class:`service.http.server_sent_events.EventProtocol`.

    With ``include_usage`` every chunk has ``usage``: null, or the usage so far, and a last chunk
    without choices has that of the whole request. [DONE] follows the last chunk, or an error.
    """

    def __init__(self, header: CompletionHeader, body: CompletionRequest) -> None:
        options = body.stream_options
        self._prefix = b"data: " + header.prefix()
        self._logprobs = body.logprobs is not None
        self._include_usage = options is not None and options.include_usage
        self._continuous = options is not None and options.continuous_usage_stats
        self._usage = UsageCounter(body.n)
        self._placers: defaultdict[int, TokenPlacer] = defaultdict(TokenPlacer)

    def plain_lines(self, events: Sequence[Event]) -> bytes | None:
        """The chunks of few plain tokens."""
        return None if plain_tokens(events) is None else b"".join(self.frames(events))

    def frames(self, events: Sequence[Event]) -> Iterator[bytes]:
        """The chunks of one turn's events, in parts."""
        for event in events:
            self._usage.add(event)
            if isinstance(event, Token):
                if event.text or event.token is not None:
                    yield from self._token(event)
            elif isinstance(event, Echo):
                yield from self._echo(event)
            elif isinstance(event, Finished):
                yield from self._finish(event)
            elif isinstance(event, Failed):
                yield from _error(from_engine(event.error))
            if event.final:
                yield _DONE

    def _token(self, event: Token) -> Iterator[bytes]:
        if not self._logprobs:
            yield self._plain(event.index, event.text)
            return
        placed = self._placers[event.index].generated(event)
        yield from self._chunk(event.index, event.text, placed, None)

    def _echo(self, event: Echo) -> Iterator[bytes]:
        placed = self._placers[event.index].echoed(event)
        yield from self._chunk(event.index, event.text, placed, None)

    def _finish(self, event: Finished) -> Iterator[bytes]:
        if event.reason == "drained":  # the protocol has no state that could continue it
            if event.final:
                yield from _error(draining())
            return
        yield from self._chunk(event.index, event.text, (), finish_reason(event))
        if event.final and self._include_usage:
            yield self._prefix + b"]," + to_json_bytes({"usage": self._usage.usage()})[1:] + b"\n\n"

    def _plain(self, index: int, text: str) -> bytes:
        choice = f'{{"index":{index},"text":{quoted(text)},"logprobs":null,"finish_reason":null}}'
        return self._prefix + choice.encode() + self._suffix()

    def _chunk(
        self, index: int, text: str, placed: Sequence[PlacedToken], reason: str | None
    ) -> Iterator[bytes]:
        yield self._prefix + f'{{"index":{index},"text":{quoted(text)},"logprobs":'.encode()
        yield from logprobs_json(placed) if placed else [b"null"]
        yield b"," + to_json_bytes({"finish_reason": reason})[1:] + self._suffix()

    def _suffix(self) -> bytes:
        if self._continuous:
            return b"]," + to_json_bytes({"usage": self._usage.usage()})[1:] + b"\n\n"
        return b'],"usage":null}\n\n' if self._include_usage else b"]}\n\n"


def _error(error: ApiError) -> Iterator[bytes]:
    body = openai_error(error.status_code, error.body["error"])
    yield b"data: " + to_json_bytes(body) + b"\n\n"

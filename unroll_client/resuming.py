"""A stream and its continuations: the choices of one generation over several responses.

A replica that drains ends each open choice with its state, and another replica continues it without
a lost or doubled character. A choice without a state has sent nothing; its request is sent again,
with the same seed. This module does no input or output.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from unroll_client.decoding import decode
from unroll_client.errors import MalformedAnswerError, StreamInterruptedError
from unroll_client.results import GeneratedChoice, Generation, ReadToken, StreamedText, TokenUsage

MOST_RESPONSES = 1000  # of one stream; a replica that always drains would have no end


@dataclass(slots=True)
class _OpenChoice:
    """What has arrived of a choice. ``end``: its last event."""

    texts: list[str] = field(default_factory=list)
    tokens: list[ReadToken] = field(default_factory=list)
    usage: TokenUsage = field(default_factory=lambda: TokenUsage(0, 0, 0))
    end: dict[str, Any] | None = None


@dataclass(slots=True)
class _Response:
    """One request of the stream, and the choices that its events are for, by their index in it.

    ``sent`` and ``ended``: these indices, of choices with a text and of those with an end.
    """

    body: dict[str, Any]
    choices: dict[int, int]
    sent: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    begun: bool = False


class StreamFollower:
    """Follows the events of one generation. ``body`` is that of the first request."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = dict(body)
        count = int(body.get("n", 1))
        self._choices = {index: _OpenChoice() for index in range(count)}
        self._responses = deque([_Response(self._body, {index: index for index in range(count)})])
        self._count = 0
        self._seed: int | None = None

    @property
    def body(self) -> dict[str, Any] | None:
        """The body of the request that is to be sent now; None once all choices have ended."""
        return self._responses[0].body if self._responses else None

    @property
    def resumptions(self) -> int:
        """The number of responses that continued the first one."""
        return max(0, self._count - (0 if self._responses else 1))

    @property
    def begun(self) -> bool:
        """Whether an event of the current response has arrived, so that it cannot be repeated."""
        return bool(self._responses) and self._responses[0].begun

    @property
    def texts(self) -> dict[int, str]:
        """The text of each choice so far."""
        return {index: "".join(choice.texts) for index, choice in self._choices.items()}

    def take(self, event: dict[str, Any]) -> StreamedText | None:
        """The part of a text that an event of the current response has; None at an end.

        Raises:
            StreamInterruptedError: the event is an error.
            MalformedAnswerError: the event is not one of this stream.
        """
        response = self._responses[0]
        if "error" in event:
            raise self.interrupted(str(event["error"].get("message", event["error"])))
        if event.get("index") not in response.choices:
            if isinstance(event.get("index"), int):  # a choice that another response has
                return None
            raise MalformedAnswerError(f"an event has no index: {event!r:.80}")
        response.begun = True
        index = response.choices[event["index"]]
        if "finish_reason" in event:
            self._end(response, event, index)
            return None
        response.sent.add(event["index"])
        part = replace(decode(StreamedText, event), index=index)
        self._choices[index].texts.append(part.text)
        self._choices[index].tokens += part.tokens
        if part.token is not None and part.logprob is not None:
            token = ReadToken(part.token, part.logprob, part.top, part.end_logprob)
            self._choices[index].tokens.append(token)
        return part

    def response_ended(self) -> None:
        """Goes on to the next request, once the current response has ended.

        Raises:
            StreamInterruptedError: it has ended before its choices.
        """
        if self._responses[0].ended != set(self._responses[0].choices):
            raise self.interrupted("the connection was closed before the end of the text")
        self._responses.popleft()
        self._count += 1
        if self._count >= MOST_RESPONSES and self._responses:
            raise self.interrupted(f"replicas drained {MOST_RESPONSES} times")

    def interrupted(self, reason: str) -> StreamInterruptedError:
        """The error of this stream, with the text so far."""
        return StreamInterruptedError(reason, self.texts)

    def result(self) -> Generation:
        """The whole answer, as without a stream.

        Raises:
            ValueError: the stream has not ended.
        """
        ends = [choice.end for choice in self._choices.values()]
        if self._responses or None in ends:
            raise ValueError("the stream has not ended: read it to its end first")
        usages = [choice.usage for choice in self._choices.values()]
        return Generation(
            choices=[
                GeneratedChoice(index, "".join(choice.texts), end["finish_reason"], choice.tokens)
                for (index, choice), end in zip(self._choices.items(), ends, strict=True)
                if end is not None
            ],
            usage=TokenUsage(
                usages[0].prompt_tokens,
                usages[0].cached_tokens,
                sum(usage.completion_tokens for usage in usages),
            ),
            seed=self._seed or 0,
            state=(ends[0] or {}).get("state") if self._body.get("return_state") else None,
        )

    def _end(self, response: _Response, event: dict[str, Any], index: int) -> None:
        choice = self._choices[index]
        usage = decode(TokenUsage, event.get("usage"))
        first = choice.usage if choice.usage.prompt_tokens else usage
        generated = choice.usage.completion_tokens + usage.completion_tokens
        choice.usage = replace(first, completion_tokens=generated)
        if self._seed is None:
            self._seed = event.get("seed")
        response.ended.add(event["index"])
        if event["finish_reason"] != "drained":
            choice.end = event
        else:
            self._responses.append(self._continuation(response, event))

    def _continuation(self, response: _Response, event: dict[str, Any]) -> _Response:
        """The request for the rest of a choice that was drained."""
        position, index = event["index"], response.choices[event["index"]]
        if event.get("state") is None:
            if position in response.sent:
                raise self.interrupted("the replica drained without a state to continue from")
            return _Response({**response.body, "seed": event["seed"]}, {position: index})
        rest = self._body["max_tokens"] - self._choices[index].usage.completion_tokens
        kept = {name: self._body[name] for name in self._body if name not in ("prompt", "echo")}
        body = {**kept, "n": 1, "max_tokens": rest, "state": event["state"]}
        return _Response(body, {0: index})

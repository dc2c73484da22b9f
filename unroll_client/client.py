"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from unroll_client import calls
from unroll_client.calls import RouteCall
from unroll_client.errors import ClientError, MalformedAnswerError
from unroll_client.event_lines import EventLines
from unroll_client.options import GenerateOptions, stream_body
from unroll_client.results import (
    ClassifiedText,
    EmbeddedText,
    Generation,
    InspectedText,
    NextWords,
    ScoredText,
    ServedModel,
    StreamedText,
    TokenIds,
)
from unroll_client.resuming import StreamFollower
from unroll_client.retrying import (
    Attempts,
    Replicas,
    RetryPolicy,
    error_of_exception,
    error_of_response,
)

T = TypeVar("T")
DEFAULT_TIMEOUT = 60.0


def request_headers(api_key: str | None) -> dict[str, str]:
    """The headers of every request."""
    key = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    return {"User-Agent": "unroll-client", **key}


class Client:
    """Requests to one service or to several replicas. Safe to use from several threads.

    Args:
        base_url: the address of the service, or those of several replicas with the same models and
            the same ``UNROLL_STATE_KEY``. One is used until it fails.
        api_key: the key, if the service has keys.
        timeout: seconds without a byte of an answer, after which a request fails.
        retries: the bounds of retries.
        transport: another transport of httpx, for tests and proxies.
    """

    def __init__(
        self,
        base_url: str | Sequence[str] = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retries: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._replicas = Replicas(base_url)
        self._retries = retries or RetryPolicy()
        self._http = httpx.Client(
            headers=request_headers(api_key), timeout=timeout, transport=transport
        )

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def models(self) -> list[ServedModel]:
        """The served models."""
        return self._ask(calls.models())

    def model(self, name: str) -> ServedModel:
        """One served model."""
        return self._ask(calls.model(name))

    def generate(self, prompt: str = "", **options: Unpack[GenerateOptions]) -> Generation:
        """Continues a text. Options: see :class:`unroll_client.GenerateOptions`."""
        return self._ask(calls.generate(prompt, options))

    def stream(self, prompt: str = "", **options: Unpack[GenerateOptions]) -> TextStream:
        """Continues a text and returns it as it is generated; see :class:`TextStream`."""
        return TextStream(self, StreamFollower(stream_body(prompt, options)))

    def next_word(
        self,
        prompt: str,
        *,
        top: int | None = None,
        end: bool | None = None,
        model: str | None = None,
        deadline_ms: int | None = None,
    ) -> NextWords:
        """The likeliest next words."""
        fields = {"top": top, "end": end, "model": model, "deadline_ms": deadline_ms}
        return self._ask(calls.next_word(prompt, fields))

    def score(
        self,
        texts: Sequence[str],
        *,
        end: bool | None = None,
        model: str | None = None,
        deadline_ms: int | None = None,
    ) -> list[ScoredText]:
        """The likelihood of each text."""
        fields = {"end": end, "model": model, "deadline_ms": deadline_ms}
        return self._ask(calls.score(texts, fields))

    def classify(
        self,
        text: str,
        *,
        top: int | None = None,
        explain: bool | None = None,
        return_state: bool | None = None,
        state: str | None = None,
        model: str | None = None,
        deadline_ms: int | None = None,
    ) -> ClassifiedText:
        """The label of a text. ``state`` continues a document that was read before."""
        fields = {
            "top": top,
            "explain": explain,
            "return_state": return_state,
            "state": state,
            "model": model,
            "deadline_ms": deadline_ms,
        }
        return self._ask(calls.classify_one(text, fields))

    def classify_all(
        self,
        texts: Sequence[str],
        *,
        top: int | None = None,
        explain: bool | None = None,
        model: str | None = None,
        deadline_ms: int | None = None,
    ) -> list[ClassifiedText]:
        """The label of each text, in one request."""
        fields = {"top": top, "explain": explain, "model": model, "deadline_ms": deadline_ms}
        return self._ask(calls.classify(texts, fields))

    def embed(
        self, texts: Sequence[str], *, normalize: bool | None = None, model: str | None = None
    ) -> list[EmbeddedText]:
        """The vector of each text."""
        return self._ask(calls.embed(texts, {"normalize": normalize, "model": model}))

    def tokenize(
        self,
        text: str,
        *,
        add_special_tokens: bool | None = None,
        return_token_strs: bool | None = None,
        model: str | None = None,
    ) -> TokenIds:
        """The token ids of a text."""
        fields = {
            "add_special_tokens": add_special_tokens,
            "return_token_strs": return_token_strs,
            "model": model,
        }
        return self._ask(calls.tokenize(text, fields))

    def detokenize(self, tokens: Sequence[int], *, model: str | None = None) -> str:
        """The text of token ids."""
        return self._ask(calls.detokenize(tokens, {"model": model}))

    def inspect(self, text: str, **fields: Any) -> InspectedText:
        """Activations and predictions token by token; fields as in the reference of /inspect."""
        return self._ask(calls.inspect(text, fields))

    def inspect_by(self, route: str, **fields: Any) -> dict[str, Any]:
        """The answer of a route below /inspect: units, generate, states, influence, ..."""
        return self._ask(calls.inspect_by(route, fields))

    def _ask(self, call: RouteCall[T]) -> T:
        attempts = Attempts(self._retries, self._replicas)
        method = "GET" if call.body is None else "POST"
        while True:
            url = self._replicas.url
            try:
                response = self._http.request(method, url + call.path, json=call.body)
            except httpx.TransportError as raised:
                error, retried = error_of_exception(raised, url)
                if not retried:
                    raise error from raised
            else:
                if response.status_code == 200:
                    return call.decode(json_of(response))
                error = error_of_response(response)
            time.sleep(attempts.wait_after(error, url))

    def _events(self, follower: StreamFollower) -> Iterator[StreamedText]:
        """The parts of all responses of a stream."""
        while (body := follower.body) is not None:
            attempts = Attempts(self._retries, self._replicas)
            while True:
                url = self._replicas.url
                try:
                    with self._http.stream("POST", url + "/generate", json=body) as response:
                        if response.status_code == 200:
                            yield from _parts(response, follower)
                            break
                        response.read()
                        error = error_of_response(response)
                except httpx.TransportError as raised:
                    error, retried = error_of_exception(raised, url)
                    if follower.begun:
                        raise follower.interrupted(str(error)) from raised
                    if not retried:
                        raise error_in_stream(error, follower) from raised
                try:
                    wait = attempts.wait_after(error, url)
                except ClientError as final:
                    raise error_in_stream(final, follower) from error
                time.sleep(wait)
            follower.response_ended()
            if follower.body is not None:
                self._replicas.move_on(url)  # this replica drains


class TextStream:
    """The parts of a continuation, as they arrive. Leaving the block closes the connection.

    Example:
        >>> with client.stream("The laws of the", max_tokens=40) as stream:  # doctest: +SKIP
        ...     for part in stream:
        ...         print(part.text, end="", flush=True)
        >>> stream.result().usage  # doctest: +SKIP

    Raises:
        StreamInterruptedError: while it is read; ``texts`` has what arrived.
    """

    def __init__(self, client: Client, follower: StreamFollower) -> None:
        self._follower = follower
        self._parts = client._events(follower)

    def __iter__(self) -> Iterator[StreamedText]:
        return self._parts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def resumptions(self) -> int:
        """How many times a replica drained and another one continued, for all choices together."""
        return self._follower.resumptions

    def close(self) -> None:
        """Ends the generation, if it has not ended."""
        close = getattr(self._parts, "close")  # noqa: B009  # of a generator
        close()

    def result(self) -> Generation:
        """The whole answer, as ``generate`` returns it. Reads the rest of the stream first."""
        for _ in self._parts:
            pass
        return self._follower.result()


def json_of(response: httpx.Response) -> Any:
    """The JSON of an answer. Raises MalformedAnswerError."""
    try:
        return response.json()
    except ValueError as error:
        raise MalformedAnswerError(f"{response.url}: the answer is not JSON") from error


def _parts(response: httpx.Response, follower: StreamFollower) -> Iterator[StreamedText]:
    lines = EventLines()
    for received in response.iter_bytes():
        for event in lines.feed(received):
            part = follower.take(event)
            if part is not None:
                yield part


def error_in_stream(error: ClientError, follower: StreamFollower) -> ClientError:
    """The error itself before the first text; later one that has the text so far."""
    return follower.interrupted(str(error)) if any(follower.texts.values()) else error

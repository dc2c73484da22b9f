"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from unroll_client import calls
from unroll_client.calls import RouteCall
from unroll_client.client import DEFAULT_TIMEOUT, error_in_stream, json_of, request_headers
from unroll_client.errors import ClientError
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


class AsyncClient:
    """Requests to one service or to several replicas, in one event loop.

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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._replicas = Replicas(base_url)
        self._retries = retries or RetryPolicy()
        self._http = httpx.AsyncClient(
            headers=request_headers(api_key), timeout=timeout, transport=transport
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def models(self) -> list[ServedModel]:
        """The served models."""
        return await self._ask(calls.models())

    async def model(self, name: str) -> ServedModel:
        """One served model."""
        return await self._ask(calls.model(name))

    async def generate(self, prompt: str = "", **options: Unpack[GenerateOptions]) -> Generation:
        """Continues a text. Options: see :class:`unroll_client.GenerateOptions`."""
        return await self._ask(calls.generate(prompt, options))

    def stream(self, prompt: str = "", **options: Unpack[GenerateOptions]) -> AsyncTextStream:
        """Continues a text and returns it as it is generated; see :class:`AsyncTextStream`."""
        return AsyncTextStream(self, StreamFollower(stream_body(prompt, options)))

    async def next_word(
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
        return await self._ask(calls.next_word(prompt, fields))

    async def score(
        self,
        texts: Sequence[str],
        *,
        end: bool | None = None,
        model: str | None = None,
        deadline_ms: int | None = None,
    ) -> list[ScoredText]:
        """The likelihood of each text."""
        fields = {"end": end, "model": model, "deadline_ms": deadline_ms}
        return await self._ask(calls.score(texts, fields))

    async def classify(
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
        return await self._ask(calls.classify_one(text, fields))

    async def classify_all(
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
        return await self._ask(calls.classify(texts, fields))

    async def embed(
        self, texts: Sequence[str], *, normalize: bool | None = None, model: str | None = None
    ) -> list[EmbeddedText]:
        """The vector of each text."""
        return await self._ask(calls.embed(texts, {"normalize": normalize, "model": model}))

    async def tokenize(
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
        return await self._ask(calls.tokenize(text, fields))

    async def detokenize(self, tokens: Sequence[int], *, model: str | None = None) -> str:
        """The text of token ids."""
        return await self._ask(calls.detokenize(tokens, {"model": model}))

    async def inspect(self, text: str, **fields: Any) -> InspectedText:
        """Activations and predictions token by token; fields as in the reference of /inspect."""
        return await self._ask(calls.inspect(text, fields))

    async def inspect_by(self, route: str, **fields: Any) -> dict[str, Any]:
        """The answer of a route below /inspect: units, generate, states, influence, ..."""
        return await self._ask(calls.inspect_by(route, fields))

    async def _ask(self, call: RouteCall[T]) -> T:
        attempts = Attempts(self._retries, self._replicas)
        method = "GET" if call.body is None else "POST"
        while True:
            url = self._replicas.url
            try:
                response = await self._http.request(method, url + call.path, json=call.body)
            except httpx.TransportError as raised:
                error, retried = error_of_exception(raised, url)
                if not retried:
                    raise error from raised
            else:
                if response.status_code == 200:
                    return call.decode(json_of(response))
                error = error_of_response(response)
            await asyncio.sleep(attempts.wait_after(error, url))

    async def _events(self, follower: StreamFollower) -> AsyncIterator[StreamedText]:
        """The parts of all responses of a stream."""
        while (body := follower.body) is not None:
            attempts = Attempts(self._retries, self._replicas)
            while True:
                url = self._replicas.url
                try:
                    async with self._http.stream("POST", url + "/generate", json=body) as response:
                        if response.status_code == 200:
                            async for part in _parts(response, follower):
                                yield part
                            break
                        await response.aread()
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
                await asyncio.sleep(wait)
            follower.response_ended()
            if follower.body is not None:
                self._replicas.move_on(url)  # this replica drains


class AsyncTextStream:
    """The parts of a continuation, as they arrive. Leaving the block closes the connection.

    Example:
        >>> async with client.stream("The laws of the", max_tokens=40) as stream:  # doctest: +SKIP
        ...     async for part in stream:
        ...         print(part.text, end="", flush=True)
        >>> (await stream.result()).usage  # doctest: +SKIP

    Raises:
        StreamInterruptedError: while it is read; ``texts`` has what arrived.
    """

    def __init__(self, client: AsyncClient, follower: StreamFollower) -> None:
        self._follower = follower
        self._parts = client._events(follower)

    def __aiter__(self) -> AsyncIterator[StreamedText]:
        return self._parts

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def resumptions(self) -> int:
        """How many times a replica drained and another one continued, for all choices together."""
        return self._follower.resumptions

    async def close(self) -> None:
        """Ends the generation, if it has not ended."""
        close = getattr(self._parts, "aclose")  # noqa: B009  # of a generator
        await close()

    async def result(self) -> Generation:
        """The whole answer, as ``generate`` returns it. Reads the rest of the stream first."""
        async for _ in self._parts:
            pass
        return self._follower.result()


async def _parts(response: httpx.Response, follower: StreamFollower) -> AsyncIterator[StreamedText]:
    lines = EventLines()
    async for received in response.aiter_bytes():
        for event in lines.feed(received):
            part = follower.take(event)
            if part is not None:
                yield part

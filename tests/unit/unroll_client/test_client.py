"""Retries, errors and answers of the client, with a transport in place of a service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from unroll_client import (
    AsyncClient,
    Client,
    ClientError,
    ConnectionFailedError,
    MalformedAnswerError,
    OverloadedError,
    RequestRefusedError,
    RetryPolicy,
    UnauthorizedError,
    UnavailableError,
)

ANSWER = {"model": "m", "words": [{"word": "a", "probability": 0.5}], "covered": 1.0}
Handler = Callable[[httpx.Request], httpx.Response]


def good() -> httpx.Response:
    """An answer, with a field of a newer service."""
    return httpx.Response(200, json={**ANSWER, "entropy_bits": 1.0, "a_newer_field": 1})


def refusal(status: int, type: str = "some_type", **headers: str) -> httpx.Response:
    """An error as the service sends it."""
    body = {"error": {"type": type, "message": "a reason", "param": "top"}}
    return httpx.Response(status, json=body, headers=headers)


def in_turn(*answers: httpx.Response | Exception) -> tuple[Handler, list[str]]:
    """A handler that gives one answer after another, and the addresses that were asked."""
    left: Iterator[httpx.Response | Exception] = iter(answers)
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle, asked


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a client waited, which pass at once."""
    waited: list[float] = []

    async def pass_at_once(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("unroll_client.client.time.sleep", waited.append)
    monkeypatch.setattr("unroll_client.async_client.asyncio.sleep", pass_at_once)
    return waited


def test_retry_after_is_honored(waits: list[float]) -> None:
    """The client waits the seconds of each answer, of 429 and of 503."""
    busy, starting = refusal(429, **{"Retry-After": "3"}), refusal(503, **{"Retry-After": "7"})
    handle, asked = in_turn(busy, starting, good())
    with Client("http://a", transport=httpx.MockTransport(handle)) as client:
        assert client.next_word("p").words[0].word == "a"
    assert waits == [3, 7]
    assert len(asked) == 3


def test_asyncio_honors_retry_after(waits: list[float]) -> None:
    """The client of asyncio waits as well, without blocking the event loop."""

    async def ask() -> str:
        handle, _ = in_turn(refusal(429, **{"Retry-After": "3"}), httpx.ReadError("gone"), good())
        async with AsyncClient("http://a", transport=httpx.MockTransport(handle)) as client:
            return (await client.next_word("p")).words[0].word

    assert asyncio.run(ask()) == "a"
    assert waits[0] == 3
    assert len(waits) == 2


def test_retry_after_may_be_a_date(waits: list[float]) -> None:
    """A proxy may send a date in place of seconds."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    handle, _ = in_turn(refusal(503, **{"Retry-After": date}), good())
    with Client("http://a", transport=httpx.MockTransport(handle)) as client:
        client.next_word("p")
    assert 0 < waits[0] <= 20


def test_waits_are_bounded(waits: list[float]) -> None:
    """A time beyond the bound is the caller's to decide; without a time the waits double."""
    handle, asked = in_turn(refusal(429, **{"Retry-After": "31"}))
    transport = httpx.MockTransport(handle)
    with Client("http://a", transport=transport) as client, pytest.raises(OverloadedError) as late:
        client.next_word("p")
    assert (late.value.retry_after, len(asked), waits) == (31, 1, [])
    handle, asked = in_turn(*[refusal(503)] * 4)
    policy = RetryPolicy(attempts=4, first_wait=8, longest_wait=10)
    with (
        Client("http://a", transport=httpx.MockTransport(handle), retries=policy) as client,
        pytest.raises(UnavailableError, match="a reason"),
    ):
        client.next_word("p")
    assert len(asked) == 4
    assert [4 <= waits[0] <= 8, 5 <= waits[1] <= 10, 5 <= waits[2] <= 10] == [True] * 3


def test_other_replicas_are_tried_at_once(waits: list[float]) -> None:
    """A replica that drains or is gone is left for the next one, without a wait."""
    answers = (refusal(503, "draining"), httpx.ConnectError("gone"), good(), good())
    handle, asked = in_turn(*answers)
    transport = httpx.MockTransport(handle)
    with Client(["http://a", "http://b/x/", "http://c"], transport=transport) as client:
        client.next_word("p")
        client.next_word("p")
    addresses = ["http://a", "http://b/x", "http://c", "http://c"]
    assert asked == [f"{address}/next-word" for address in addresses]
    assert sum(waits) == 0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(422, "invalid_request"), RequestRefusedError),
        (refusal(401, "unauthorized"), UnauthorizedError),
        (refusal(500, "internal_error"), UnavailableError),
        (refusal(504, "deadline_exceeded"), UnavailableError),
        (httpx.Response(404, text="nginx"), RequestRefusedError),
        (httpx.ReadTimeout("slow"), ConnectionFailedError),
        (httpx.Response(200, text="<html>"), MalformedAnswerError),
        (httpx.Response(200, json=[]), MalformedAnswerError),
        (httpx.Response(200, json={"model": "m"}), MalformedAnswerError),
    ],
)
def test_final_failures_are_not_repeated(
    answer: httpx.Response | Exception, kind: type[ClientError], waits: list[float]
) -> None:
    """Refusals, slow answers and answers of other programs are raised at once."""
    handle, asked = in_turn(answer)
    transport = httpx.MockTransport(handle)
    with Client("http://a", transport=transport) as client, pytest.raises(kind) as caught:
        client.next_word("p")
    assert type(caught.value) is kind
    assert (len(asked), waits) == (1, [])


def test_errors_have_the_fields_of_the_answer() -> None:
    """Status, type and field are attributes, and the message names them."""
    handle, _ = in_turn(refusal(422, "invalid_request"))
    with (
        Client("http://a", transport=httpx.MockTransport(handle)) as client,
        pytest.raises(RequestRefusedError, match=r"a reason \(422 invalid_request\)") as caught,
    ):
        client.next_word("p")
    error = caught.value
    assert (error.status, error.type, error.param) == (422, "invalid_request", "top")


def test_requests_have_the_key_and_the_given_fields() -> None:
    """None is not sent, a tuple is a list, and fields of a newer service are passed on."""
    bodies: list[dict[str, object]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer k"
        bodies.append(json.loads(request.content))
        choice = {"index": 0, "text": "t", "finish_reason": "end"}
        usage = {"prompt_tokens": 1, "cached_tokens": 0, "completion_tokens": 1}
        return httpx.Response(200, json={"choices": [choice], "usage": usage, "seed": 1})

    with Client("http://a", api_key="k", transport=httpx.MockTransport(handle)) as client:
        client.generate("p", stop=("a", "b"), top_k=None, more={"regex": "[ab]"})
        client.generate(state="s", max_tokens=3)
    first, second = bodies
    assert first == {"prompt": "p", "stop": ["a", "b"], "regex": "[ab]"}
    assert second == {"state": "s", "max_tokens": 3}


@pytest.mark.parametrize("url", ["127.0.0.1:8000", []])
def test_addresses_are_checked(url: str | list[str]) -> None:
    """An address without a scheme, and no address, are errors that name the argument."""
    with pytest.raises(ValueError, match="base_url"):
        Client(url)


def test_bounds_of_retries_are_checked() -> None:
    """No attempt at all is an error."""
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(attempts=0)

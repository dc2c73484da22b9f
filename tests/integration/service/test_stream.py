"""POST /generate with stream: server-sent events."""

from __future__ import annotations

import json
import socket
from typing import Any
from unittest.mock import ANY

import httpx
import pytest

from tests.support.service.process import PATIENCE, RunningService, error_of, eventually


def test_headers_and_frames(service: RunningService) -> None:
    """The stream is event-stream, neither cached nor buffered, each frame one JSON line."""
    body = {"prompt": "The", "max_tokens": 3, "stream": True, "seed": 1}
    response = service.post("/generate", body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    *frames, rest = response.text.split("\n\n")
    assert rest == ""
    assert len(frames) == 4
    for frame in frames:
        assert "\n" not in frame
        assert json.loads(frame.removeprefix("data: "))


@pytest.mark.parametrize("model", ["words", "chars", "bpe", "brief"])
def test_streams_what_it_would_answer_whole(service: RunningService, model: str) -> None:
    """The texts of the events join to the text of the same request without stream."""
    fields = {"model": model, "prompt": "The keys", "max_tokens": 40, "seed": 7}
    whole = service.ask("/generate", **fields)
    *tokens, last = service.events(**fields)
    assert "".join(event["text"] for event in tokens) == whole["choices"][0]["text"]
    assert last.pop("usage") == {**whole["usage"], "cached_tokens": ANY}  # read the first time
    assert last == {
        "index": 0,
        "finish_reason": whole["choices"][0]["finish_reason"],
        "seed": 7,
    }


def test_one_event_for_each_token(service: RunningService) -> None:
    """Without stop strings and incomplete characters there is one event per token."""
    events = service.events(prompt="The", max_tokens=25, seed=2)
    assert len(events) == 26
    assert all(set(event) == {"index", "text"} and event["text"] for event in events[:-1])


def test_choices_interleave_and_finish_one_by_one(service: RunningService) -> None:
    """The choices share the stream by index; each has its own last event with its own usage.
    They take more than one turn of the engine.
    """
    fields = {"prompt": "The", "max_tokens": 90, "n": 3, "seed": 4}
    whole = service.ask("/generate", **fields)["choices"]
    events = service.events(**fields)
    for index, choice in enumerate(whole):
        own = [event for event in events if event["index"] == index]
        assert "".join(event.get("text", "") for event in own) == choice["text"]
        assert own[-1]["finish_reason"] == "length"
        assert own[-1]["usage"]["completion_tokens"] == 90
    ends = [place for place, event in enumerate(events) if "finish_reason" in event]
    assert len(ends) == 3
    assert {event["index"] for event in events[: ends[0]]} == {0, 1, 2}


def test_logprobs_and_echo(service: RunningService) -> None:
    """Events have the fields of the tokens of a whole response; the echo comes first."""
    fields = {"prompt": "The keys", "max_tokens": 5, "logprobs": 2, "echo": True, "seed": 1}
    (choice,) = service.ask("/generate", **fields)["choices"]
    echo, *tokens, _ = service.events(**fields)
    assert echo["text"] == "The keys"
    streamed = echo["tokens"] + [
        {"text": event["token"], "logprob": event["logprob"], "top": event["top"]}
        for event in tokens
    ]
    assert [token["text"] for token in streamed] == [token["text"] for token in choice["tokens"]]
    for token, expected in zip(streamed, choice["tokens"], strict=True):
        assert token["logprob"] == pytest.approx(expected["logprob"], abs=1e-5)
        assert len(token.get("top", [])) == len(expected.get("top", []))


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_stop_strings_never_leak(service: RunningService, model: str) -> None:
    """A stream never shows the beginning of a stop string that then comes."""
    fields = {"model": model, "prompt": "The", "max_tokens": 60, "seed": 11}
    whole = service.text(**fields)
    stop = whole[17:29]
    expected = whole[: whole.index(stop)]
    *tokens, last = service.events(stop=[stop, stop + "never"], **fields)
    shown = ""
    for event in tokens:
        shown += event["text"]
        assert expected.startswith(shown)
    assert shown == expected
    assert last["finish_reason"] == "stop"


def test_refusals_come_before_the_status_line(service: RunningService) -> None:
    """A refusal is not a stream: it has a status, JSON, and the one shape."""
    response = service.post("/generate", {"stream": True, "max_tokens": 10**6})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/json"
    assert error_of(response)["param"] == "max_tokens"


def test_client_that_goes_away_frees_its_rows(service: RunningService) -> None:
    """Closing a stream of several choices ends them, and they count as cancelled."""
    before = service.metric("unroll_sequences_finished_total", model="words", reason="cancelled")
    with service.streaming(prompt="The", max_tokens=8000, n=4) as events:
        next(events)
        assert service.metric("unroll_sequences_running", model="words") == 4
    eventually(
        lambda: service.metric("unroll_sequences_running", model="words") == 0,
        "the rows of a closed stream are free",
    )
    after = service.metric("unroll_sequences_finished_total", model="words", reason="cancelled")
    assert after == before + 4


def test_client_that_does_not_wait_for_a_whole_answer(narrow_service: RunningService) -> None:
    """Closing a request without stream ends it as well."""
    service = narrow_service
    client = httpx.Client(base_url=service.client.base_url)
    with client, pytest.raises(httpx.ReadTimeout):
        client.post("/generate", json={"max_tokens": 1_000_000}, timeout=0.2)
    eventually(
        lambda: service.metric("unroll_sequences_running", model="words") == 0,
        "the row of an abandoned answer is free",
    )
    eventually(
        lambda: service.metric("unroll_requests_total", route="/generate", status="499") > 0,
        "the journal tells of a client that left",
    )


def test_client_that_never_reads_is_cut_off(narrow_service: RunningService) -> None:
    """An unread stream does not grow: its row is freed long before its end."""
    service = narrow_service

    def cancelled() -> float:
        name = "unroll_sequences_finished_total"
        return service.metric(name, model="words", reason="cancelled")

    before = cancelled()
    body = json.dumps({"max_tokens": 1_000_000, "stream": True, "logprobs": 20}).encode()
    with service.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        eventually(lambda: cancelled() == before + 1, "a stream that is not read is cancelled")
        received = _read_all(connection)
    frames = received.split(b"\n\n")
    last = next(frame for frame in reversed(frames) if b"data: " in frame)
    assert b'"slow_reader"' in last
    assert len(frames) < 20_000


def _read_all(connection: socket.socket) -> bytes:
    connection.settimeout(PATIENCE)
    received = bytearray()
    while not received.endswith(b"0\r\n\r\n"):
        chunk = connection.recv(1 << 16)
        if not chunk:
            break
        received += chunk
    return bytes(received)


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_texts_never_come_without_a_token(service: RunningService, model: str) -> None:
    """With log-probabilities each event has one token, including one withheld for a stop string
    that did not come; the texts join to the whole text, and all tokens are listed.
    """
    fields: dict[str, Any] = {"model": model, "prompt": "The", "temperature": 0, "logprobs": 0}
    whole = service.text(model=model, prompt="The", temperature=0, max_tokens=12)
    for end in range(1, len(whole)):
        stop = whole[end - 1 :] + "@"  # its beginning comes and its end never
        *tokens, last = service.events(**fields, max_tokens=12, stop=stop)
        assert "".join(event["text"] for event in tokens) == whole
        assert len(tokens) == last["usage"]["completion_tokens"] == 12
        assert all("token" in event for event in tokens)


def test_tokens_of_a_stop_string_are_listed(service: RunningService) -> None:
    """The text ends before a stop string. The tokens are all generated ones, as counted, and
    join to the text and the rest of the last tokens. Streams have the same events.
    """
    fields: dict[str, Any] = {"prompt": "The", "temperature": 0, "logprobs": 0, "max_tokens": 12}
    whole = service.text(**fields)
    stop = whole[7:9]
    answer = service.ask("/generate", **fields, stop=stop)
    (choice,) = answer["choices"]
    joined = "".join(token["text"] for token in choice["tokens"])
    assert choice["text"] == whole[: whole.index(stop)]
    assert whole.startswith(joined)
    assert joined.startswith(choice["text"] + stop)
    assert len(choice["tokens"]) == answer["usage"]["completion_tokens"]
    *tokens, _ = service.events(**fields, stop=stop)
    assert "".join(event["token"] for event in tokens) == joined
    assert "".join(event["text"] for event in tokens) == choice["text"]

"""Rolling restarts: streams of a process that ends are continued on another one."""

from __future__ import annotations

import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.service.process import PATIENCE, RunningService, error_of, eventually

STATE_KEY = "5f0c3d9a1b7e4826" * 4
SLOW = ("--kernel", "torch", "--burst-steps", "1", "--max-tokens", "1000000")
MANY = (
    *("--burst-steps", "1", "--max-tokens", "1000000", "--max-rows", "128"),
    *("--max-logprobs", "100000000"),
)
ENDLESS = 1_000_000
FURTHER = 150  # tokens that are compared after the cut
STREAMS = 32
PROMPT = "The keys to the old cabinet"
# Text is withheld in the second and third kind, and in the fourth, whose tokens are parts of
# characters. In the last one the choices are continued one by one.
KINDS: tuple[dict[str, Any], ...] = (
    {"model": "words"},
    {"model": "words", "stop": ["the old cabinet zz", "e zz"], "logprobs": 1},
    {"model": "chars", "stop": ["zz", "a dog zz", " zz"], "repetition_penalty": 1.1},
    {"model": "bpe", "logprobs": 0, "temperature": 0.7},
    {"model": "chars", "n": 3, "top_k": 5},
)


@pytest.fixture
def other(models: Path) -> Iterator[RunningService]:
    """A process with the same key."""
    with RunningService(models, *MANY, UNROLL_STATE_KEY=STATE_KEY) as running:
        yield running


def fields_of(number: int) -> dict[str, Any]:
    """The request of a stream. Every second one leaves the seed to the service."""
    seed = {"seed": number} if number % 2 else {}
    return {"prompt": PROMPT, "max_tokens": ENDLESS, **KINDS[number % len(KINDS)], **seed}


class Streamed:
    """What a client has of one request."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.texts: dict[int, str] = defaultdict(str)
        self.tokens: dict[int, list[str]] = defaultdict(list)
        self.ends: dict[int, dict[str, Any]] = {}
        for event in events:
            if "finish_reason" in event:
                self.ends[event["index"]] = event
            else:
                self.texts[event["index"]] += event["text"]
                self.tokens[event["index"]].append(event.get("token", ""))


def done(end: dict[str, Any]) -> int:
    """The number of tokens before the cut."""
    return int(end["usage"]["completion_tokens"])


def continue_choice(
    service: RunningService, number: int, end: dict[str, Any], most: int
) -> Streamed:
    """The rest of a choice up to ``most`` tokens, asked for as documented: the same request with
    the state in place of the prompt.
    """
    fields = {**fields_of(number), "n": 1, "max_tokens": most - done(end), "state": end["state"]}
    del fields["prompt"]
    return Streamed(service.events(**fields))


def test_every_stream_of_a_killed_process_goes_on_elsewhere(
    models: Path, other: RunningService
) -> None:
    """Kill -TERM under 32 streams: each ends with its state, and another process continues it, byte
    for byte and token for token, with the same random numbers.
    """
    begun = threading.Barrier(STREAMS + 1, timeout=PATIENCE)
    arguments = (*MANY, "--drain-seconds", "0.1")

    def follow(number: int) -> Streamed:
        with dying.streaming(**fields_of(number)) as events:
            first = next(events)
            begun.wait()
            return Streamed([first, *events])

    with (
        RunningService(models, *arguments, UNROLL_STATE_KEY=STATE_KEY) as dying,
        ThreadPoolExecutor(STREAMS) as pool,
    ):
        streams = [pool.submit(follow, number) for number in range(STREAMS)]
        begun.wait()
        dying.signal(signal.SIGTERM)
        assert dying.wait() == 0
        cut = [stream.result(timeout=PATIENCE) for stream in streams]
    assert "Traceback" not in dying.output
    with ThreadPoolExecutor(STREAMS) as pool:
        list(pool.map(lambda number: check_continued(other, number, cut[number]), range(STREAMS)))


def check_continued(service: RunningService, number: int, cut: Streamed) -> None:
    """Continue all choices of a stream and compare them with those of an uncut one."""
    seed = cut.ends[0]["seed"]
    most = max(map(done, cut.ends.values())) + FURTHER
    whole = Streamed(service.events(**{**fields_of(number), "seed": seed, "max_tokens": most}))
    assert len(cut.ends) == len(whole.ends)
    for index, end in cut.ends.items():
        assert end["finish_reason"] == "drained"
        rest = continue_choice(service, number, end, most)
        assert cut.texts[index] + rest.texts[0] == whole.texts[index]
        if "logprobs" in fields_of(number):
            assert cut.tokens[index] + rest.tokens[0] == whole.tokens[index]
        assert rest.ends[0]["seed"] == seed
        assert rest.ends[0]["finish_reason"] == whole.ends[index]["finish_reason"]


def test_a_slow_reader_does_not_keep_the_process(models: Path) -> None:
    """A client that reads nothing any more is cut off some seconds after the drain."""
    arguments = (*SLOW, "--drain-seconds", "0")
    with RunningService(models, *arguments) as service, service.connect() as connection:
        body = b'{"model":"words","max_tokens":1000000,"stream":true}'
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        eventually(
            lambda: service.metric("unroll_sequences_running", model="words") == 1, "it runs"
        )
        service.signal(signal.SIGTERM)
        assert service.wait() == 0


def test_streams_that_have_not_begun_are_refused(models: Path) -> None:
    """A stream that still waits for a row gets a plain 503 that closes the connection, so that its
    client sends the same request elsewhere.
    """
    arguments = (*SLOW, "--drain-seconds", "0.2", "--max-rows", "1")
    long = {"model": "words", "prompt": "the keys " * 20_000, "max_tokens": 1}
    with RunningService(models, *arguments) as service, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(service.post, "/generate", {**long, "stream": True})
        eventually(
            lambda: service.metric("unroll_sequences_running", model="words") == 1, "it runs"
        )
        service.signal(signal.SIGTERM)
        response = waiting.result(timeout=PATIENCE)
        assert response.status_code == 503
        assert error_of(response)["type"] == "draining"
        assert response.headers["connection"] == "close"
        assert service.wait() == 0

"""Replicas behind HAProxy and Envoy: sessions, streams, and replicas that drain and die."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.proxies.running_proxy import program_of, running_proxy
from tests.support.service.process import PATIENCE, RunningService, error_of, eventually

pytestmark = pytest.mark.slow

STATE_KEY = "5f0c3d9a1b7e4826" * 4
OPTIONS = (
    *("--default-language-model", "words", "--max-rows", "64"),
    *("--kernel", "torch", "--burst-steps", "1", "--max-tokens", "1000000", "--drain-seconds", "1"),
)
ENDLESS = 1_000_000
FURTHER = 100  # tokens that are compared after a cut
STREAMS = 16
PROMPT = "The keys to the old cabinet"
PROXIES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(program_of(name) is None, reason=f"{name} is not installed"),
    )
    for name in ("haproxy", "envoy")
]


@contextmanager
def replicas(models: Path, count: int) -> Iterator[list[RunningService]]:
    """Replicas with one key."""
    with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        services = [
            RunningService(models, *OPTIONS, UNROLL_STATE_KEY=STATE_KEY) for _ in range(count)
        ]
        yield list(pool.map(stack.enter_context, services))


@pytest.fixture(scope="module")
def pair(models: Path) -> Iterator[list[RunningService]]:
    """Two replicas that tests leave as they found them."""
    with replicas(models, 2) as running:
        yield running


@pytest.fixture(scope="module", params=PROXIES)
def proxied(
    request: pytest.FixtureRequest,
    pair: list[RunningService],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    """A client of both replicas, through a proxy."""
    ports = [service.port for service in pair]
    with running_proxy(request.param, ports, tmp_path_factory.mktemp("proxy")) as client:
        yield client


def events_of(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream as they arrive."""
    assert response.status_code == 200, response.read()
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def generated(service: RunningService) -> float:
    """The number of finished and running sequences of a replica."""
    finished = service.metric("unroll_requests_total", route="/generate", status="200")
    return finished + running_streams(service)


def running_streams(service: RunningService) -> float:
    """The number of running sequences of a replica."""
    return service.metric("unroll_sequences_running", model="words")


def session(number: int) -> dict[str, str]:
    """The header of a session."""
    return {"X-Session-ID": f"session {number}"}


def test_streams_are_not_buffered(proxied: httpx.Client, pair: list[RunningService]) -> None:
    """Tokens of a stream without an end arrive, and a client that leaves ends its sequence."""
    body = {"prompt": PROMPT, "max_tokens": ENDLESS, "stream": True}
    with proxied.stream("POST", "/generate", json=body) as response:
        events = events_of(response)
        assert all("text" in next(events) for _ in range(20))
    for service in pair:
        eventually(
            lambda service=service: running_streams(service) == 0,  # type: ignore[misc]
            "the stream has ended",
        )


def test_a_session_stays_with_its_replica(
    proxied: httpx.Client, pair: list[RunningService]
) -> None:
    """Requests of one session go to one replica and find its cache; sessions use both replicas."""
    used = set()
    for number in range(12):
        before = [generated(service) for service in pair]
        prompt = f"{PROMPT} {number} the dogs and the cats " * 20
        for turn in range(3):
            response = proxied.post(
                "/generate", json={"prompt": prompt, "max_tokens": 1}, headers=session(number)
            )
            assert response.status_code == 200, response.text
            assert (response.json()["usage"]["cached_tokens"] > 0) or turn == 0
        counts = [generated(service) - old for service, old in zip(pair, before, strict=True)]
        assert sorted(counts) == [0, 3]
        used.add(counts.index(3))
    assert used == {0, 1}


def test_a_busy_session_uses_other_replicas(
    proxied: httpx.Client, pair: list[RunningService]
) -> None:
    """The load of one replica is bounded: many streams of one session run on both."""
    body = {"prompt": PROMPT, "max_tokens": ENDLESS, "stream": True}
    with ExitStack() as stack:
        streams = []
        for _ in range(16):
            response = stack.enter_context(
                proxied.stream("POST", "/generate", json=body, headers=session(0))
            )
            streams.append(events_of(response))
            next(streams[-1])
        running = [running_streams(service) for service in pair]
        assert sum(running) == 16
        assert min(running) >= 3


def test_the_operators_routes_are_closed(proxied: httpx.Client) -> None:
    """Clients of the proxy read no metrics and change no models."""
    assert proxied.get("/metrics").status_code == 404
    assert proxied.post("/admin/reload").status_code == 404


class Stream:
    """A request that its client follows to the end through the proxy."""

    def __init__(self, number: int, most: int) -> None:
        self.fields = {"prompt": PROMPT, "seed": number, "max_tokens": most, "temperature": 1.0}
        self.headers = session(number)
        self.text = ""
        self.end: dict[str, Any] | None = None

    def follow(self, client: httpx.Client, begun: threading.Barrier | None = None) -> None:
        """Append the text that arrives. A broken connection leaves ``end`` at None."""
        body = {**self.fields, "stream": True}
        self.end = None
        try:
            with client.stream("POST", "/generate", json=body, headers=self.headers) as response:
                for event in events_of(response):
                    if begun is not None and not self.text:
                        begun.wait()
                    if "finish_reason" in event:
                        self.end = event
                    else:
                        self.text += event["text"]
        except (httpx.RemoteProtocolError, httpx.ReadError):
            assert self.end is None

    def goes_on(self, client: httpx.Client, further: int) -> None:
        """Continue a drained stream with the same request and its state."""
        assert self.end is not None
        state = self.end["state"]
        self.fields = {**self.fields, "state": state, "max_tokens": further}
        del self.fields["prompt"]
        self.follow(client)


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_replica_drains_and_one_is_killed(proxy: str, models: Path, tmp_path: Path) -> None:
    """Under load, one of three replicas drains and one is killed. Short streams are complete, those
    of the drained replica go on elsewhere byte for byte, those of the killed one break after a
    prefix of their text, and new requests succeed.
    """
    lengths = [20, ENDLESS, ENDLESS, ENDLESS, 200, ENDLESS, ENDLESS, ENDLESS] * (STREAMS // 8)
    streams = [Stream(number, most) for number, most in enumerate(lengths)]
    begun = threading.Barrier(STREAMS + 1, timeout=PATIENCE)
    with (
        ThreadPoolExecutor(STREAMS) as pool,  # outermost: without a proxy all streams end
        replicas(models, 3) as services,
        running_proxy(proxy, [service.port for service in services], tmp_path) as client,
    ):
        running = [pool.submit(stream.follow, client, begun) for stream in streams]
        begun.wait()
        survivor, drained, killed = sorted(services, key=running_streams)
        drained.signal(signal.SIGTERM)
        killed.signal(signal.SIGKILL)
        for number in range(12):  # new requests while the proxy notices
            body = {"prompt": PROMPT, "max_tokens": 1}
            answer = answer_of(client, body, session(number))
            assert answer.status_code == 200, answer.text
        assert drained.wait() == 0
        eventually(
            lambda: sum(not each.done() for each in running) == running_streams(survivor),
            "only streams of the survivor run",
        )
        ended = [stream for stream, each in zip(streams, running, strict=True) if each.done()]
        check_outcomes(ended, client, survivor)
        survivor.signal(signal.SIGTERM)
        survivor.wait()
        for each in running:
            each.result(timeout=PATIENCE)
        eventually(lambda: client.get("/models").status_code == 503, "the proxy has no replica")
        assert error_of(client.get("/models"))["type"] == "no_replica"


def answer_of(
    client: httpx.Client, body: dict[str, Any], headers: dict[str, str]
) -> httpx.Response:
    """The answer to a request that its client repeats as documented: after 502, after 503, and
    after the end of a connection without an answer.
    """
    answers = []

    def succeeds() -> bool:
        with suppress(httpx.RemoteProtocolError):
            answers.append(client.post("/generate", json=body, headers=headers))
            if answers[-1].status_code in {502, 503}:
                assert error_of(answers[-1])["type"] in {"draining", "replica_lost", "no_replica"}
                return False
            return True
        return False

    eventually(succeeds, "an answer to a request that is repeated")
    return answers[-1]


def check_outcomes(streams: list[Stream], client: httpx.Client, reference: RunningService) -> None:
    """Compare streams that have ended with those that nothing disturbed. Every outcome occurs."""
    with ThreadPoolExecutor(STREAMS) as pool:
        outcomes = set(pool.map(lambda stream: outcome_of(stream, client, reference), streams))
    assert outcomes == {"broken", "drained", "length"}


def outcome_of(stream: Stream, client: httpx.Client, reference: RunningService) -> str:
    """How a stream has ended, after a comparison of its text with that of a replica alone."""
    fields = dict(stream.fields)
    if stream.end is None:
        whole = reference.text(**{**fields, "max_tokens": len(stream.text) + 1})
        assert whole.startswith(stream.text)
        return "broken"
    outcome = str(stream.end["finish_reason"])
    if outcome == "drained":
        fields["max_tokens"] = stream.end["usage"]["completion_tokens"] + FURTHER
        stream.goes_on(client, FURTHER)
        assert stream.end["finish_reason"] == "length"
    assert stream.text == reference.text(**fields)
    return outcome

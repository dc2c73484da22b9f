"""The service as an application of Ray Serve, which scales it, and on two nodes of which one is
killed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.repository import ROOT
from tests.support.service.process import PATIENCE, eventually

# In no lock file: only this file needs it, and its many packages have bounds of their own.
ray = pytest.importorskip("ray", reason="ray[serve] is not installed")
pytest.importorskip("ray.serve", reason="ray[serve] is not installed")

STATE_KEY = "5f0c3d9a1b7e4826" * 4
PROMPT = "The keys to the old cabinet"
STREAMS = 8
ENDLESS = 1_000_000

SCALING_TARGET = 6  # requests for each replica
SCALING_LOAD = 6  # endless streams
SCALING_TOKENS = 40_000  # of a stream that must outlast the start or the removal of a replica
LONG_PATIENCE = 240.0  # also for an answer of SCALING_TOKENS

# Ray opens files and sockets that it closes late, and warns of its own future changes.
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def cluster(models: Path) -> Iterator[Any]:
    """Two nodes, each with room for one replica; the first one has the proxy."""
    from ray import serve
    from ray.cluster_utils import Cluster

    os.environ.update(
        UNROLL_STATE_KEY=STATE_KEY,
        UNROLL_MODELS=str(models),
        UNROLL_DEFAULT_LANGUAGE_MODEL="words",
        UNROLL_MAX_TOKENS=str(ENDLESS),
        UNROLL_KERNEL="torch",
        UNROLL_THREADS="1",
        RAY_USAGE_STATS_ENABLED="0",
        # Ray's proxies report every 10 seconds otherwise, which the streams would have to outlast.
        RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S="1",
        PYTHONPATH=str(ROOT),
    )
    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    started = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        started.other = started.add_node(**node)
        ray.init(address=started.address, log_to_driver=False)
        serve.start(http_options={"host": "127.0.0.1", "port": _free_port()})
        sys.path.insert(0, str(ROOT))
        _deploy(min_replicas=2, max_replicas=2)
        yield started
    finally:
        with suppress(Exception):
            serve.shutdown()
        ray.shutdown()
        started.shutdown()


def _deploy(**scaling: float) -> None:
    """Deploys the application, or changes its scaling, and waits until it is healthy."""
    from ray import serve

    from deploy.ray import serve_app

    deployment: Any = serve_app.Unroll
    application = deployment.options(autoscaling_config=scaling, max_replicas_per_node=1).bind()
    serve.run(application, name="unroll", route_prefix="/")


def replicas() -> dict[str, int]:
    """The numbers of replicas by their state."""
    from ray import serve

    deployment = serve.status().applications["unroll"].deployments["Unroll"]
    return dict(deployment.replica_states)


_PORT: list[int] = []


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        _PORT.append(listener.getsockname()[1])
    return _PORT[0]


@pytest.fixture(scope="module")
def client(cluster: Any) -> Iterator[httpx.Client]:
    """A client of Ray's proxy."""
    limits = httpx.Limits(max_connections=None)
    url = f"http://127.0.0.1:{_PORT[0]}"
    with httpx.Client(
        base_url=url, timeout=LONG_PATIENCE, limits=limits, trust_env=False
    ) as opened:
        yield opened


def generate(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """The answer of /generate."""
    response = client.post("/generate", json=fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@dataclass
class Stream:
    """A stream that a thread follows."""

    seed: int
    max_tokens: int
    stop: threading.Event = field(default_factory=threading.Event)
    pieces: list[str] = field(default_factory=list)
    complete: bool = False

    def follow(self, client: httpx.Client) -> None:
        """Reads until the end of the stream, until it breaks, or until it is told to stop."""
        body = {
            "prompt": PROMPT,
            "seed": self.seed,
            "max_tokens": self.max_tokens,
            "stream": True,
        }
        with (
            suppress(httpx.TransportError),
            client.stream("POST", "/generate", json=body) as response,
        ):
            for line in response.iter_lines():
                if self.stop.is_set():
                    return
                if line.startswith("data: "):
                    self.pieces.append(json.loads(line[6:]).get("text", ""))
                    self.complete = "finish_reason" in line

    @property
    def text(self) -> str:
        """What has arrived."""
        return "".join(self.pieces)


def test_streams_are_not_buffered(client: httpx.Client) -> None:
    """Tokens of a stream without an end arrive one after the other."""
    body = {"prompt": PROMPT, "max_tokens": ENDLESS, "stream": True}
    with client.stream("POST", "/generate", json=body) as response:
        lines = response.iter_lines()
        assert sum("text" in next(lines) for _ in range(20)) >= 10


def test_states_go_from_replica_to_replica(client: httpx.Client) -> None:
    """A text that is continued by its state in many requests is that of one request, whichever
    replica answers.
    """
    whole = generate(client, prompt=PROMPT, seed=3, max_tokens=60)["choices"][0]["text"]
    answer = generate(client, prompt=PROMPT, seed=3, max_tokens=5, return_state=True)
    text = answer["choices"][0]["text"]
    for _ in range(11):
        answer = generate(client, state=answer["state"], seed=3, max_tokens=5, return_state=True)
        text += answer["choices"][0]["text"]
    assert text == whole


@pytest.fixture
def one_replica(cluster: Any) -> Iterator[None]:
    """One replica, which Ray may make two."""
    _deploy(
        min_replicas=1,
        max_replicas=2,
        target_ongoing_requests=SCALING_TARGET,
        look_back_period_s=2,
        upscale_delay_s=1,
        downscale_delay_s=2,
    )
    eventually(lambda: replicas() == {"RUNNING": 1}, "one replica", LONG_PATIENCE)
    yield
    _deploy(min_replicas=2, max_replicas=2)


@pytest.mark.usefixtures("one_replica")
def test_load_adds_a_replica_and_its_end_removes_one(client: httpx.Client) -> None:
    """Ray adds a replica under load and removes it later; streams that run at that time, on both
    replicas, end complete and with the text that they have without.
    """
    load = [Stream(seed=100 + number, max_tokens=ENDLESS) for number in range(SCALING_LOAD)]
    early = [Stream(seed=number, max_tokens=SCALING_TOKENS) for number in range(2)]
    late = [Stream(seed=number, max_tokens=SCALING_TOKENS) for number in range(2)]
    with ThreadPoolExecutor(len(load) + len(early) + len(late)) as pool:
        try:
            running = [pool.submit(stream.follow, client) for stream in load + early]
            eventually(lambda: replicas().get("RUNNING") == 2, "two replicas", LONG_PATIENCE)
            assert not any(stream.complete for stream in early), "these had to outlast the scaling"
            # The new replica has no requests yet, so Ray sends these to it.
            running += [pool.submit(stream.follow, client) for stream in late]
            eventually(lambda: all(stream.pieces for stream in late), "more streams", LONG_PATIENCE)
        finally:
            for stream in load:
                stream.stop.set()
        eventually(lambda: replicas().get("RUNNING") == 1, "one replica", LONG_PATIENCE)
        counts = [len(stream.pieces) for stream in late]
        eventually(
            lambda: all(
                stream.complete or len(stream.pieces) > count + SCALING_TOKENS // 10
                for stream, count in zip(late, counts, strict=True)
            ),
            "the streams go on",
            LONG_PATIENCE,
        )
        # Ray ends a replica without requests after 2 seconds.
        assert replicas() == {"RUNNING": 1, "STOPPING": 1}
        assert not any(stream.complete for stream in late), "these had to outlast the scaling"
        for each in running:
            each.result(timeout=LONG_PATIENCE)
    assert all(stream.complete for stream in early + late)
    eventually(lambda: replicas() == {"RUNNING": 1}, "the other is gone", LONG_PATIENCE)
    for one, other in zip(early, late, strict=True):
        fields = {"prompt": PROMPT, "seed": one.seed, "max_tokens": SCALING_TOKENS}
        whole = generate(client, **fields)["choices"][0]["text"]
        assert one.text == whole
        assert other.text == whole


def test_a_node_is_killed(client: httpx.Client, cluster: Any) -> None:
    """Streams of the node that is killed break after a prefix of their text, the others go on, and
    new requests and states of the killed node are answered by the other node.
    """
    states = [
        generate(client, prompt=PROMPT, seed=number, max_tokens=5, return_state=True)
        for number in range(6)
    ]
    streams = [Stream(seed=number, max_tokens=3000) for number in range(STREAMS)]
    with ThreadPoolExecutor(STREAMS) as pool:
        running = [pool.submit(stream.follow, client) for stream in streams]
        eventually(lambda: all(stream.pieces for stream in streams), "all streams have begun")
        cluster.remove_node(cluster.other, allow_graceful=False)
        for each in running:
            each.result(timeout=PATIENCE)
    assert not all(stream.complete for stream in streams)
    assert any(stream.complete for stream in streams)
    for number, answer in enumerate(states):
        rest = generate(client, state=answer["state"], seed=number, max_tokens=20)
        text = answer["choices"][0]["text"] + rest["choices"][0]["text"]
        assert (
            text
            == generate(client, prompt=PROMPT, seed=number, max_tokens=25)["choices"][0]["text"]
        )
    for stream in streams:
        fields = {"prompt": PROMPT, "seed": stream.seed, "max_tokens": 3000}
        whole = generate(client, **fields)["choices"][0]["text"]
        assert whole.startswith(stream.text)
        assert not stream.complete or whole == stream.text

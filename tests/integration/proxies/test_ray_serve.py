"""The service as an application of Ray Serve, on two nodes of which one is killed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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

# Ray opens files and sockets that it closes late, and warns of its own future changes.
pytestmark = [
    pytest.mark.timeout(300),
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
        PYTHONPATH=str(ROOT),
    )
    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    started = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        started.other = started.add_node(**node)
        ray.init(address=started.address, log_to_driver=False)
        serve.start(http_options={"host": "127.0.0.1", "port": _free_port()})
        sys.path.insert(0, str(ROOT))
        from deploy.ray import serve_app

        deployment: Any = serve_app.Unroll

        scaling = {"min_replicas": 2, "max_replicas": 2}
        application = deployment.options(autoscaling_config=scaling, max_replicas_per_node=1).bind()
        serve.run(application, name="unroll", route_prefix="/")
        yield started
    finally:
        with suppress(Exception):
            serve.shutdown()
        ray.shutdown()
        started.shutdown()


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
    with httpx.Client(base_url=url, timeout=PATIENCE, limits=limits, trust_env=False) as opened:
        yield opened


def generate(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """The answer of /generate."""
    response = client.post("/generate", json=fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


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


def test_a_node_is_killed(client: httpx.Client, cluster: Any) -> None:
    """Streams of the node that is killed break after a prefix of their text, the others go on, and
    new requests and states of the killed node are answered by the other node.
    """
    states = [
        generate(client, prompt=PROMPT, seed=number, max_tokens=5, return_state=True)
        for number in range(6)
    ]
    texts = [""] * STREAMS
    broken = [False] * STREAMS

    def follow(number: int) -> None:
        body = {"prompt": PROMPT, "seed": number, "max_tokens": 3000, "stream": True}
        try:
            with client.stream("POST", "/generate", json=body) as response:
                for line in response.iter_lines():
                    if line.startswith("data: "):
                        texts[number] += json.loads(line[6:]).get("text", "")
                        broken[number] = "finish_reason" not in line
        except httpx.TransportError:
            broken[number] = True

    with ThreadPoolExecutor(STREAMS) as pool:
        running = [pool.submit(follow, number) for number in range(STREAMS)]
        eventually(lambda: all(texts), "all streams have begun")
        cluster.remove_node(cluster.other, allow_graceful=False)
        for each in running:
            each.result(timeout=PATIENCE)
    assert any(broken)
    assert not all(broken)
    for number, answer in enumerate(states):
        rest = generate(client, state=answer["state"], seed=number, max_tokens=20)
        text = answer["choices"][0]["text"] + rest["choices"][0]["text"]
        assert (
            text
            == generate(client, prompt=PROMPT, seed=number, max_tokens=25)["choices"][0]["text"]
        )
    for number in range(STREAMS):
        whole = generate(client, prompt=PROMPT, seed=number, max_tokens=3000)["choices"][0]["text"]
        assert whole.startswith(texts[number])
        assert broken[number] or whole == texts[number]

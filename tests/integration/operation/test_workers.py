"""Several worker processes as one service: port, metrics, health, drain, reload, replacement."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.service.process import (
    PATIENCE,
    RunningService,
    error_of,
    eventually,
    run_to_end,
)
from tests.support.service.small_artifacts import (
    language_model,
    save_language_model,
    word_tokenizer,
)

WORKERS = 2
KEY = "the-key-of-the-operator"
ARGUMENTS = (
    *("--workers", str(WORKERS), "--default-language-model", "words"),
    *("--max-tokens", "1000000", "--max-logprobs", "100000000"),
    *("--watch-seconds", "0", "--heartbeat-seconds", "2", "--burst-steps", "1"),
)
ENDLESS = {"model": "words", "max_tokens": 1_000_000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small language model."""
    folder = tmp_path_factory.mktemp("workers")
    put(folder, "words")
    return folder


@pytest.fixture(scope="module")
def pair(folder: Path) -> Iterator[RunningService]:
    """A service of two workers; tests leave it with two workers that are ready."""
    with RunningService(folder, *ARGUMENTS, UNROLL_ADMIN_KEY=KEY) as running:
        yield running


def put(folder: Path, name: str, *, seed: int = 0) -> None:
    """Write a model that never ends a text."""
    tokenizer = word_tokenizer()
    save_language_model(folder, name, tokenizer, language_model(tokenizer, ends=False, seed=seed))


def workers_of(service: RunningService) -> list[psutil.Process]:
    """The worker processes."""
    return psutil.Process(service.process.pid).children()


def worker_of(connection: httpx.Client, service: RunningService) -> psutil.Process:
    """The worker that has accepted the only connection of a client."""
    response = connection.get("/health/live")
    port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
    return next(
        worker
        for worker in workers_of(service)
        if any(getattr(each.raddr, "port", None) == port for each in worker.net_connections("tcp"))
    )


def is_ready(service: RunningService) -> bool:
    """Whether /health/ready answers 200."""
    return service.client.get("/health/ready").status_code == 200


@contextmanager
def clients(service: RunningService, count: int) -> Iterator[list[httpx.Client]]:
    """Clients with a connection each, opened one after the other."""
    with ExitStack() as opened:
        found = []
        for _ in range(count):
            client = httpx.Client(
                base_url=service.client.base_url, timeout=PATIENCE, trust_env=False
            )
            found.append(opened.enter_context(client))
            assert client.get("/health/live").status_code == 200
        yield found


@contextmanager
def one_on_each(service: RunningService) -> Iterator[list[httpx.Client]]:
    """A client of each worker."""
    with clients(service, 16) as opened:
        by_worker = {worker_of(client, service).pid: client for client in opened}
        assert len(by_worker) == WORKERS
        yield list(by_worker.values())


def test_connections_are_spread_evenly(pair: RunningService) -> None:
    """Each worker gets half of the connections, also if there are few of them."""
    with clients(pair, 8):
        count = [
            sum(each.laddr.port == pair.port and bool(each.raddr) for each in found)
            for found in (worker.net_connections("tcp") for worker in workers_of(pair))
        ]
    assert min(count) >= 3, count


def test_metrics_are_sums_over_the_workers(pair: RunningService) -> None:
    """Every worker answers with the requests and tokens of both, and each is counted once."""
    before = pair.metric("unroll_generated_tokens_total", model="words")
    requests = pair.metric("unroll_requests_total", route="/generate", status="200")
    series = re.compile(r'^unroll_generated_tokens_total\{model="words"\} (\S+)$', re.MULTILINE)
    with one_on_each(pair) as opened:
        for client in [*opened, *opened]:
            answer = client.post("/generate", json={"max_tokens": 5})
            assert answer.status_code == 200
        for client in opened:
            tokens = series.search(client.get("/metrics").text)
            assert tokens is not None
            assert float(tokens[1]) == before + 20
    assert pair.metric("unroll_requests_total", route="/generate", status="200") == requests + 4
    assert pair.metric("unroll_model_info", **info_labels(pair)) == 1
    assert pair.metric("unroll_ready") == 1


def info_labels(service: RunningService) -> dict[str, str]:
    """The labels of unroll_model_info."""
    text = service.client.get("/metrics").text
    line = re.search(r"^unroll_model_info\{(.*)\} ", text, re.MULTILINE)
    assert line is not None
    return dict(re.findall(r'(\w+)="([^"]*)"', line[1]))


def test_a_state_of_one_worker_is_accepted_by_the_other(pair: RunningService) -> None:
    """Without a configured key all workers sign with one, also a worker that was started later."""
    with one_on_each(pair) as opened:
        asked = {"max_tokens": 3, "return_state": True}
        state = opened[0].post("/generate", json=asked).json()["state"]
        fields = {"state": state, "max_tokens": 3, "seed": 1}
        answers = [client.post("/generate", json=fields) for client in opened]
        assert [answer.status_code for answer in answers] == [200] * WORKERS
        assert len({answer.json()["choices"][0]["text"] for answer in answers}) == 1


def test_a_killed_worker_is_replaced(pair: RunningService) -> None:
    """Kill -9 under load: its clients get an error of the connection, others are served on, the
    service is not ready until a new worker is, and no counter falls.
    """
    failures, ended = list[BaseException](), threading.Event()
    served = pair.metric("unroll_requests_total", route="/generate", status="200")

    def ask(client: httpx.Client) -> None:
        while not ended.is_set():
            try:
                assert client.post("/generate", json={"max_tokens": 5}).status_code == 200
            except httpx.TransportError as error:  # the client connects again
                failures.append(error)

    with clients(pair, 4) as opened, ThreadPoolExecutor() as pool:
        victim = worker_of(opened[0], pair)
        asking = [pool.submit(ask, client) for client in opened]
        eventually(
            lambda: (
                pair.metric("unroll_requests_total", route="/generate", status="200") > served + 20
            ),
            "requests are served",
        )
        counted = pair.metric("unroll_requests_total", route="/generate", status="200")
        victim.kill()
        eventually(lambda: bool(failures), "clients of the killed worker get an error")
        eventually(lambda: not is_ready(pair), "not ready")
        error = error_of(pair.client.get("/health/ready"))
        assert error["type"] == "not_ready"
        assert pair.metric("unroll_ready") == 0
        eventually(lambda: is_ready(pair), "a new worker is ready")
        ended.set()
        for each in asking:
            each.result(timeout=PATIENCE)
    assert len(failures) <= len(opened)
    assert victim.pid not in [worker.pid for worker in workers_of(pair)]
    assert len(workers_of(pair)) == WORKERS
    assert pair.metric("unroll_requests_total", route="/generate", status="200") >= counted
    assert pair.metric("unroll_worker_restarts_total") >= 1
    assert "was killed by SIGKILL; it starts again" in pair.output


@pytest.mark.slow
def test_a_hanging_worker_is_killed_and_replaced(pair: RunningService) -> None:
    """A worker that does not move at all, so that its own watchdog does not either, is killed; its
    client gets an error, and meanwhile new connections are served by the other.
    """
    with clients(pair, 1) as (client,):
        victim = worker_of(client, pair)
        with client.stream("POST", "/generate", json={**ENDLESS, "stream": True}) as response:
            lines = response.iter_lines()
            next(lines)
            victim.send_signal(signal.SIGSTOP)
            with clients(pair, 4), pytest.raises(httpx.TransportError):
                list(lines)
    eventually(lambda: is_ready(pair), "a new worker is ready")
    assert "and is killed" in pair.output


def test_all_workers_take_over_a_change_of_the_folder(pair: RunningService, folder: Path) -> None:
    """POST /admin/reload on one worker and SIGHUP load a model in all of them."""

    def names(client: httpx.Client) -> list[str]:
        return [model["name"] for model in client.get("/models").json()["models"]]

    with one_on_each(pair) as opened:
        put(folder, "more")
        answer = opened[0].post("/admin/reload", headers={"Authorization": f"Bearer {KEY}"})
        assert answer.json()["loaded"] == ["more"], answer.text
        assert answer.json()["unchanged"] == ["words"]
        for client in opened:
            body = {"model": "more", "max_tokens": 1}
            assert client.post("/generate", json=body).status_code == 200
        shutil.rmtree(folder / "more")
        pair.signal(signal.SIGHUP)
        eventually(lambda: all(names(client) == ["words"] for client in opened), "removed")
    eventually(lambda: 'model="more"' not in pair.client.get("/metrics").text, "no series")


def test_a_drain_reaches_the_streams_of_all_workers(folder: Path) -> None:
    """SIGTERM to the parent, and to all processes at once as a service manager sends it: every
    stream ends with its state, and the exit status is 0.
    """
    with (
        RunningService(folder, *ARGUMENTS, "--drain-seconds", "0.3") as service,
        clients(service, 4) as opened,
        ThreadPoolExecutor() as pool,
    ):
        begun = threading.Barrier(len(opened) + 1, timeout=PATIENCE)

        def follow(client: httpx.Client) -> list[str]:
            body = {**ENDLESS, "stream": True}
            with client.stream("POST", "/generate", json=body) as response:
                lines = response.iter_lines()
                first = next(lines)
                begun.wait()
                return [first, *lines]

        streams = [pool.submit(follow, client) for client in opened]
        begun.wait()
        processes = workers_of(service)
        service.signal(signal.SIGTERM)
        for worker in processes:
            worker.send_signal(signal.SIGTERM)
        assert service.wait() == 0
        for stream in streams:
            last = [line for line in stream.result(timeout=PATIENCE) if line][-1]
            assert '"finish_reason":"drained"' in last
            assert '"state":' in last
        assert not any(worker.is_running() for worker in processes)
        assert "Traceback" not in service.output


def test_workers_end_with_their_parent_and_free_the_port(folder: Path) -> None:
    """If the supervisor is killed, the workers accept no more, drain and end."""
    with RunningService(folder, *ARGUMENTS, "--drain-seconds", "0.3") as service:
        processes = workers_of(service)
        assert len(processes) == WORKERS
        service.signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
        assert alive == []
        with pytest.raises(httpx.ConnectError):
            service.client.get("/health/live")


def test_a_port_in_use_is_reported_once(pair: RunningService, folder: Path) -> None:
    """The parent binds the port, and reports in one line that it cannot."""
    ended = run_to_end("--models", str(folder), "--port", str(pair.port), "--workers", "2")
    assert ended.returncode == 1
    message = f"cannot listen on 127.0.0.1:{pair.port}: Address already in use"
    assert ended.stderr == f"unroll: {message}; choose another --port\n"


def test_a_start_that_fails_ends_all_workers(tmp_path: Path) -> None:
    """A missing folder is reported once, with the status of a single process."""
    ended = run_to_end("--models", str(tmp_path / "none"), "--port", "0", "--workers", "2")
    assert ended.returncode == 1
    reported = [line for line in ended.stderr.splitlines() if line.startswith("unroll: ")]
    assert len(reported) == 1, ended.stderr
    assert str(tmp_path / "none") in reported[0]


def test_one_worker_has_no_parent(folder: Path) -> None:
    """--workers 1 is what the service is without it: one process."""
    with RunningService(folder, "--workers", "1") as service:
        assert workers_of(service) == []
        assert "unroll_worker_ready" not in service.client.get("/metrics").text


def test_a_second_signal_ends_all_workers_at_once(folder: Path) -> None:
    """As for one process: the second signal does not wait for streams."""
    with (
        RunningService(folder, *ARGUMENTS, "--drain-seconds", "600") as service,
        service.streaming(**ENDLESS) as events,
    ):
        next(events)
        processes = workers_of(service)
        service.signal(signal.SIGTERM)
        time.sleep(0.5)
        os.kill(service.process.pid, signal.SIGTERM)
        assert service.wait() == 0
        assert not any(worker.is_running() for worker in processes)

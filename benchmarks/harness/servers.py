"""Starts one of the servers that are compared, and says what it costs while it runs.

Each is a real process on a free port, found ready by asking it, ended by SIGTERM. Knows nothing of
how load is made or what is done with the numbers.
"""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

START_SECONDS = 120.0
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Candidate:
    """A server to measure: how it is started, where it is asked, and what more it is sent.

    ``command``: of `python -m`, with {port} to fill in, and what else the measurement knows.
    """

    name: str
    command: tuple[str, ...]
    path: str
    ready: str
    extra: tuple[tuple[str, Any], ...] = ()


SERVICE = ("service", "--host", "127.0.0.1", "--port", "{port}", "--models", "{artifact}")
UNROLL = Candidate(
    name="Unroll",
    command=SERVICE,
    path="/generate",
    ready="/health/ready",
    extra=(("stream", True), ("temperature", 1.0)),
)
LITSERVE = Candidate(
    name="LitServe",
    command=("benchmarks.peers.litserve_batched", "{artifact}", "{port}", "{streams}"),
    path="/predict",
    ready="/health",
)
FASTAPI = Candidate(
    name="FastAPI loop",
    command=("benchmarks.peers.fastapi_loop", "{artifact}", "{port}"),
    path="/generate",
    ready="/health",
)
CANDIDATES = (UNROLL, LITSERVE, FASTAPI)
CANNED = Candidate(
    name="canned streams",
    command=("benchmarks.peers.canned", "{port}", "{tokens}", "{per_write}"),
    path="/generate",
    ready="/",
)
UNROLL_CLASSIFIER = Candidate(
    name="Unroll", command=SERVICE, path="/classify", ready="/health/ready"
)
FASTAPI_CLASSIFIER = Candidate(
    name="FastAPI + torch",
    command=("benchmarks.peers.fastapi_classifier", "{artifact}", "{port}"),
    path="/classify",
    ready="/health",
)
CLASSIFIERS = (UNROLL_CLASSIFIER, FASTAPI_CLASSIFIER)


@dataclass(frozen=True)
class Running:
    """A started server, with all the processes that it has made."""

    port: int
    process: psutil.Process

    def family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def processor_seconds(self) -> float:
        """Processor time used so far by the whole family."""
        total = 0.0
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory_bytes(self) -> int:
        """Memory held by the whole family, pages shared by several counted once (PSS)."""
        total = 0
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += getattr(process.memory_full_info(), "pss", process.memory_info().rss)
        return total


@contextlib.contextmanager
def started(candidate: Candidate, filling: Mapping[str, object], log: Path) -> Iterator[Running]:
    """The server, ready to be asked; ended when the block is left."""
    port = free_port()
    filled = [part.format(port=port, **filling) for part in candidate.command]
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", *filled], stdout=output, stderr=subprocess.STDOUT
        )
    process = psutil.Process(child.pid)
    try:
        wait_until_ready(child, f"http://127.0.0.1:{port}{candidate.ready}", log)
        yield Running(port, process)
    finally:
        end(process)
        child.wait()


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(child: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Asks until the answer is 200. Exits with a pointer to the log if it never comes."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if child.poll() is not None:
            raise SystemExit(f"the server ended with code {child.returncode}; see {log}")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_SECONDS)
    raise SystemExit(f"the server was not ready within {START_SECONDS:.0f} s; see {log}")


def end(process: psutil.Process, patience: float = 10.0) -> None:
    """Asks a process to end, then ends it and whatever it leaves behind."""
    family = [process]
    with contextlib.suppress(psutil.NoSuchProcess):
        family += process.children(recursive=True)
        process.terminate()
    _, alive = psutil.wait_procs(family, timeout=patience)
    for straggler in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            straggler.kill()

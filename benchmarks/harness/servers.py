"""The servers that are compared: their command lines, start, CPU time and memory.

Each server is a process on a free port. It is polled until it is ready and ended by SIGTERM.
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
READY_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class ServerSpec:
    """A server to measure.

    Args:
        name: in tables.
        command: arguments of `python -m` with placeholders such as {port} and {artifact}.
        path: of the requests.
        ready: path that answers 200 when the server is ready.
        extra: further fields of every request.
    """

    name: str
    command: tuple[str, ...]
    path: str
    ready: str
    extra: tuple[tuple[str, Any], ...] = ()


SERVICE_COMMAND = ("service", "--host", "127.0.0.1", "--port", "{port}", "--models", "{artifact}")
UNROLL = ServerSpec(
    name="Unroll",
    command=SERVICE_COMMAND,
    path="/generate",
    ready="/health/ready",
    extra=(("stream", True), ("temperature", 1.0)),
)
LITSERVE = ServerSpec(
    name="LitServe",
    command=("benchmarks.peers.litserve_batched", "{artifact}", "{port}", "{streams}"),
    path="/predict",
    ready="/health",
)
FASTAPI = ServerSpec(
    name="FastAPI loop",
    command=("benchmarks.peers.fastapi_loop", "{artifact}", "{port}"),
    path="/generate",
    ready="/health",
)
LANGUAGE_MODEL_SERVERS = (UNROLL, LITSERVE, FASTAPI)
CANNED = ServerSpec(
    name="canned streams",
    command=("benchmarks.peers.canned", "{port}", "{tokens}", "{per_write}"),
    path="/generate",
    ready="/",
)
UNROLL_CLASSIFIER = ServerSpec(
    name="Unroll", command=SERVICE_COMMAND, path="/classify", ready="/health/ready"
)
FASTAPI_CLASSIFIER = ServerSpec(
    name="FastAPI + torch",
    command=("benchmarks.peers.fastapi_classifier", "{artifact}", "{port}"),
    path="/classify",
    ready="/health",
)
CLASSIFIER_SERVERS = (UNROLL_CLASSIFIER, FASTAPI_CLASSIFIER)


@dataclass(frozen=True)
class RunningServer:
    """A running server with its child processes."""

    port: int
    process: psutil.Process

    def family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def processor_seconds(self) -> float:
        """CPU time of all processes so far."""
        total = 0.0
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory_bytes(self) -> int:
        """Memory of all processes; shared pages are counted once (PSS)."""
        total = 0
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += getattr(process.memory_full_info(), "pss", process.memory_info().rss)
        return total


@contextlib.contextmanager
def start_server(
    spec: ServerSpec, placeholders: Mapping[str, object], log: Path, checkout: Path | None = None
) -> Iterator[RunningServer]:
    """Starts a server and waits until it is ready; ends it when the context is left.

    Args:
        spec: the server.
        placeholders: values of the placeholders in its command, except {port}.
        log: file to which its output is appended.
        checkout: run the program of another working copy.
    """
    port = free_port()
    arguments = [part.format(port=port, **placeholders) for part in spec.command]
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=checkout,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    process = psutil.Process(child.pid)
    try:
        wait_until_ready(child, f"http://127.0.0.1:{port}{spec.ready}", log)
        yield RunningServer(port, process)
    finally:
        terminate(process)
        child.wait()


def free_port() -> int:
    """A free TCP port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(child: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Polls the URL until it answers 200. Raises SystemExit after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise SystemExit(f"the server ended with code {child.returncode}; see {log}")
        try:
            with urllib.request.urlopen(url, timeout=1) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(READY_POLL_SECONDS)
    raise SystemExit(f"the server was not ready within {START_SECONDS:.0f} s; see {log}")


def terminate(process: psutil.Process, timeout: float = 10.0) -> None:
    """Sends SIGTERM to a process, and after the timeout SIGKILL to it and its children."""
    family = [process]
    with contextlib.suppress(psutil.NoSuchProcess):
        family += process.children(recursive=True)
        process.terminate()
    _, alive = psutil.wait_procs(family, timeout=timeout)
    for remaining in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            remaining.kill()

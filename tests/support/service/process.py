"""A service in its own process, started as users start it, with an HTTP client."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.repository import ROOT

_ADDRESS = re.compile(r"http://\S+:(\d+)$")
PATIENCE = 60.0
"""Seconds after which something that should happen is taken not to happen."""


class RunningService:
    """``python -m service`` on a free port; leaving the context ends the process."""

    program: tuple[str, ...] = (sys.executable, "-m", "service")

    def __init__(self, models: Path, *arguments: str, **environment: str) -> None:
        self._command = [
            *(*self.program, "--models", str(models), "--port", "0"),
            *arguments,
        ]
        self._environment = _environment(environment)
        self._output: list[str] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        addresses: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read_output, args=(addresses,))
        self._reader.start()
        try:
            port = addresses.get(timeout=PATIENCE)
        except queue.Empty:
            port = None
        if port is None:
            self.process.kill()
            self.wait()
            raise AssertionError(f"the service did not start:\n{self.output}")
        self.port = port
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            timeout=PATIENCE,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        if self.process.poll() is None:
            self._end()
        self.wait()

    def _end(self) -> None:
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            # A process that is killed loses its measurement. The second signal skips the draining.
            for _ in range(2):
                self.process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(1)
        self.process.kill()

    @property
    def output(self) -> str:
        """Everything printed and logged so far."""
        return "".join(self._output)

    def _read_output(self, addresses: queue.SimpleQueue[int | None]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._output.append(line)
                match = _ADDRESS.search(line)
                if match and line.startswith("Unroll serves at"):
                    addresses.put(int(match[1]))
        addresses.put(None)

    def signal(self, number: signal.Signals) -> None:
        """Sends the process a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        status = self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        return status

    # ------------------------------------------------------------ asking

    def post(self, path: str, body: Any) -> httpx.Response:
        """A JSON request."""
        return self.client.post(path, json=body)

    def ask(self, path: str, **fields: Any) -> dict[str, Any]:
        """The answer to a request that must succeed."""
        response = self.post(path, fields)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def text(self, **fields: Any) -> str:
        """The text of the only choice of a /generate that must succeed."""
        return str(self.ask("/generate", **fields)["choices"][0]["text"])

    @contextmanager
    def streaming(self, **fields: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """The events of a /generate with stream; leaving closes the connection."""
        body = {"stream": True, **fields}
        with self.client.stream("POST", "/generate", json=body) as response:
            assert response.status_code == 200, response.read()
            yield (parsed for parsed in map(_event, response.iter_lines()) if parsed)

    def events(self, **fields: Any) -> list[dict[str, Any]]:
        """All events of a stream."""
        with self.streaming(**fields) as events:
            return list(events)

    def connect(self) -> socket.socket:
        """A bare socket, for bytes that no HTTP client would send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series; KeyError if it is not exported."""
        label_pairs = {f'{label}="{value}"' for label, value in labels.items()}
        for line in self.client.get("/metrics").text.splitlines():
            series, _, value = line.rpartition(" ")
            series_name, _, rest = series.partition("{")
            if (
                series_name == name
                and set(filter(None, rest.rstrip("}").split(","))) == label_pairs
            ):
                return float(value)
        raise KeyError(name, labels)


def run_to_end(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m service`` with arguments with which it does not serve."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env=_environment(environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def eventually(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait until the condition holds, or fail with ``what``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error of a response, which must have exactly the one shape."""
    body = response.json()
    assert set(body) == {"error"}, body
    error: dict[str, Any] = body["error"]
    assert set(error) == {"type", "message", "param"}, body
    assert isinstance(error["type"], str)
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["param"] is None or isinstance(error["param"], str)
    return error


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("data: "):
        assert line == "" or line.startswith(":"), line
        return None
    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return event


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("UNROLL_")}
    return {**own, "OMP_NUM_THREADS": "1", "UNROLL_THREADS": "1", **more}

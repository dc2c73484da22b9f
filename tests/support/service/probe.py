"""The effect of hostile requests on others: the longest response time of /health/live, and
memory.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil

from tests.support.service.process import PATIENCE, RunningService

INTERVAL = 0.002  # seconds between two questions


class Probe:
    """Sends GET /health/live repeatedly, over one connection, within ``watching``."""

    def __init__(self, service: RunningService) -> None:
        self._port = service.port
        self._process = psutil.Process(service.process.pid)
        self._over = threading.Event()
        self.silences: list[float] = []
        """Seconds that each answer took."""
        self.before_bytes = self.peak_bytes = self._process.memory_info().rss
        self.grown_bytes = 0
        """How much more memory the process has afterwards than it had before."""

    @property
    def longest_silence(self) -> float:
        """In seconds."""
        return max(self.silences)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measure within the context."""
        asker = threading.Thread(target=self._ask)
        asker.start()
        try:
            yield
        finally:
            self._over.set()
            asker.join()
        self.grown_bytes = self._process.memory_info().rss - self.before_bytes

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        while not self._over.is_set():
            begun = time.perf_counter()
            connection.request("GET", "/health/live")
            answer = connection.getresponse()
            answer.read()
            self.silences.append(time.perf_counter() - begun)
            assert answer.status == 200
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)
            self._over.wait(INTERVAL)
        connection.close()


def post_at_once(
    service: RunningService, path: str, body: bytes, count: int = 8
) -> Sequence[tuple[int, bytes, float]]:
    """Status, body and seconds of ``count`` equal requests, sent at the same time."""
    ready = threading.Barrier(count)

    def post() -> tuple[int, bytes, float]:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
        ready.wait(PATIENCE)
        begun = time.perf_counter()
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, time.perf_counter() - begun

    with ThreadPoolExecutor(count) as pool:
        return [each.result() for each in [pool.submit(post) for _ in range(count)]]

"""Mixed load for a time. ``UNROLL_SOAK_SECONDS`` is its length."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import WORKER_THREADS
from tests.integration.load.test_disconnect_storm import storm
from tests.integration.operation.test_model_updates import KEY, put, reload
from tests.support.service.process import PATIENCE, RunningService, eventually
from tests.support.service.resources import resources_of

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("UNROLL_SOAK_SECONDS", "12"))
CLIENTS = 6
SAMPLES = max(20, round(SECONDS / 60))  # each with a reload and cut streams; one a minute if long
SLOW_READERS = 2
SLOW_PARTS = 20  # that a slow reader reads before it leaves
GROWTH_BYTES = 24 * 2**20
KERNEL_THREADS = 2
TOKENIZER_THREADS = 2
LANGUAGE_MODELS = 4
MOST_THREADS = (
    6  # the event loop, the steps, the watchdog, inspections, loading, and writing metrics
    + WORKER_THREADS
    + TOKENIZER_THREADS
    # Of each language model, of two that are replaced, and of a classification.
    + (KERNEL_THREADS - 1) * (LANGUAGE_MODELS + 2 + 1)
)
WORDS = ("the", "keys", "to", "old", "cabinet", "are", "on", "table", "dog", "cats", "home")

logger = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request
Ask = Callable[[httpx.Client, random.Random], int]


def text(chance: random.Random, most: int = 60) -> str:
    """A random text, so that caches see new ones."""
    return " ".join(chance.choices(WORDS, k=chance.randint(1, most)))


def post(client: httpx.Client, path: str, **fields: Any) -> int:
    """The status of a request."""
    return client.post(path, json=fields).status_code


def stream(client: httpx.Client, chance: random.Random) -> int:
    """A stream that is read to its end, or left."""
    body = {"prompt": text(chance), "max_tokens": chance.randint(1, 400), "stream": True}
    with client.stream("POST", "/generate", json=body) as response:
        for number, _ in enumerate(response.iter_lines()):
            if number > 50 and chance.random() < 0.01:
                break
    return response.status_code


KINDS: tuple[Ask, ...] = (
    stream,
    lambda client, chance: post(
        client, "/generate", prompt=text(chance), max_tokens=50, n=3, logprobs=2
    ),
    lambda client, chance: post(client, "/score", texts=[text(chance)] * 3),
    lambda client, chance: post(client, "/score", model="chars", texts=[text(chance, 200)] * 2),
    lambda client, chance: post(client, "/next-word", prompt=text(chance)),
    lambda client, chance: post(client, "/next-word", model="bpe", prompt=text(chance)),
    lambda client, chance: post(client, "/classify", texts=[text(chance, 300)] * 4),
    lambda client, chance: post(client, "/classify", text=text(chance, 12), explain=True),
    lambda client, chance: post(client, "/inspect", text=text(chance, 20), gates=True),
    lambda client, chance: post(client, "/generate", prompt=text(chance), deadline_ms=1),
    lambda client, chance: post(client, "/generate", prompt=text(chance), max_tokens="many"),
    lambda client, chance: (
        client.post("/score", content=b"{" * chance.randint(1, 9000)).status_code
    ),
)


class Load:
    """Clients that ask until they are told to stop."""

    def __init__(self, service: RunningService) -> None:
        self._base = service.client.base_url
        self._over = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self.slow_streams = 0
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]
        self._threads += [
            threading.Thread(target=self._read_slowly, args=(service,)) for _ in range(SLOW_READERS)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def counts(self) -> str:
        """How much was done."""
        return f"answers {dict(self.statuses)}, slow streams {self.slow_streams}"

    def close(self) -> None:
        """Wait for the last answers."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        chance = random.Random(number)
        with httpx.Client(base_url=self._base, timeout=PATIENCE, trust_env=False) as client:
            while not self._over.is_set():
                try:
                    self.statuses[chance.choice(KINDS)(client, chance)] += 1
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    return

    def _read_slowly(self, service: RunningService) -> None:
        """Streams of which little is read, a part at a time, and the rest is left."""
        body = json.dumps({"max_tokens": 5_000, "logprobs": 5, "stream": True}).encode()
        head = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        while not self._over.is_set():
            with service.connect() as connection:
                connection.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                for _ in range(SLOW_PARTS):
                    if self._over.wait(0.5) or not connection.recv(1 << 10):
                        break
            self.slow_streams += 1


@pytest.mark.timeout(120 + 2 * SECONDS)
def test_a_service_under_mixed_load_does_not_grow(models: Path, tmp_path: Path) -> None:
    """Requests of every kind, good and bad, streams that are cut or read slowly, and models that
    are replaced: no answer is missing or of an undocumented status, memory and descriptors stay
    where they were after the first third, and there are no more threads than the pools have, which
    start them when they are needed; afterwards no sequence is left.
    """
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    options = ("--default-language-model", "words", "--no-access-log", "--watch-seconds", "0")
    sizes = ("--state-cache-bytes", str(1 << 20), "--threads", str(KERNEL_THREADS))
    environment = {"UNROLL_ADMIN_KEY": KEY, "RAYON_NUM_THREADS": str(TOKENIZER_THREADS)}
    with RunningService(folder, *options, *sizes, **environment) as service:
        samples = []
        with contextlib.closing(Load(service)) as load:
            for number in range(SAMPLES):
                time.sleep(SECONDS / SAMPLES)
                asyncio.run(storm(service.port, 10, seed=number))
                put(folder, seed=number)
                assert reload(service).json()["loaded"] == ["words"]
                samples.append(resources_of(service))
                logger.info("%d of %d: %s, %s", number + 1, SAMPLES, samples[-1], load.counts)
        assert load.failures == []
        assert set(load.statuses) <= {200, 400, 415, 422, 429, 504}, load.statuses
        assert load.statuses[200] > 10
        eventually(lambda: resources_of(service).sequences == 0, "no sequence is left")
        late = samples[SAMPLES // 3 :]
        half = len(late) // 2
        early_peak = max(sample.memory_bytes for sample in late[:half])
        late_peak = max(sample.memory_bytes for sample in late[half:])
        logger.info("memory: %d MiB, then %d MiB", early_peak >> 20, late_peak >> 20)
        logger.info("%s", load.counts)
        assert late_peak - early_peak < GROWTH_BYTES
        assert max(sample.threads for sample in samples) <= MOST_THREADS
        quiet = resources_of(service)
        assert quiet.descriptors <= min(sample.descriptors for sample in samples)
        assert "Traceback" not in service.output

"""Mixed load for a time. ``UNROLL_SOAK_SECONDS`` is its length."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.load.test_disconnect_storm import storm
from tests.support.service.process import PATIENCE, RunningService, eventually
from tests.support.service.resources import resources_of

SECONDS = float(os.environ.get("UNROLL_SOAK_SECONDS", "12"))
CLIENTS = 6
SAMPLES = 20
GROWTH_BYTES = 24 * 2**20
WORDS = ("the", "keys", "to", "old", "cabinet", "are", "on", "table", "dog", "cats", "home")

logger = logging.getLogger(__name__)
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
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
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


@pytest.mark.timeout(120 + 2 * SECONDS)
def test_a_service_under_mixed_load_does_not_grow(models: Path) -> None:
    """Requests of every kind, good and bad, and streams that are cut: no answer is missing or of
    an undocumented status, and memory, descriptors and threads stay where they were after the
    first third; afterwards no sequence is left.
    """
    options = ("--default-language-model", "words", "--no-access-log")
    cache = ("--state-cache-bytes", str(1 << 20))
    with RunningService(models, *options, *cache) as service:
        load = Load(service)
        samples = []
        for number in range(SAMPLES):
            time.sleep(SECONDS / SAMPLES)
            asyncio.run(storm(service.port, 10, seed=number))
            samples.append(resources_of(service))
        load.stop()
        assert load.failures == []
        assert set(load.statuses) <= {200, 400, 415, 422, 429, 504}, load.statuses
        assert load.statuses[200] > 10
        eventually(lambda: resources_of(service).sequences == 0, "no sequence is left")
        late = samples[SAMPLES // 3 :]
        half = len(late) // 2
        early_peak = max(sample.memory_bytes for sample in late[:half])
        late_peak = max(sample.memory_bytes for sample in late[half:])
        logger.info("memory: %d MiB, then %d MiB", early_peak >> 20, late_peak >> 20)
        logger.info("answers: %s", dict(load.statuses))
        assert late_peak - early_peak < GROWTH_BYTES
        assert max(s.threads for s in late) <= max(s.threads for s in samples[: SAMPLES // 3])
        quiet = resources_of(service)
        assert quiet.descriptors <= min(sample.descriptors for sample in samples)
        assert "Traceback" not in service.output

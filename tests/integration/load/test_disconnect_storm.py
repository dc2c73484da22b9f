"""Streams that are cut at random. ``UNROLL_STORM_STREAMS`` is their number."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import socket
import struct
from collections import Counter
from pathlib import Path

import pytest

from service.app import WORKER_THREADS
from tests.support.service.process import RunningService, eventually
from tests.support.service.resources import finished, resources_of

pytestmark = pytest.mark.slow

logger = logging.getLogger(__name__)
STREAMS = int(os.environ.get("UNROLL_STORM_STREAMS", "500"))
AT_ONCE = 100
GROWTH_BYTES = 48 * 2**20  # allocators keep some of what a burst of requests needed
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


async def cut_stream(port: int, chance: random.Random) -> str:
    """Start a stream and leave it: at any byte of the request or after a part of the answer, with
    an orderly end or a reset. Returns where it was cut.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 12)
    fields = {"prompt": "The keys " * chance.randint(0, 200), "max_tokens": 5_000, "stream": True}
    body = json.dumps({**fields, "n": chance.choice([1, 1, 1, 4])}).encode()
    head = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    place = chance.choice(["request", "answer", "answer", "events", "events"])
    with contextlib.suppress(ConnectionError):
        if place == "request":
            request = request[: chance.randint(0, len(request))]
        writer.write(request)
        await writer.drain()
        if place == "events":
            await reader.read(chance.randint(1, 1 << 12))
            for _ in range(chance.randint(0, 20)):
                await reader.read(1 << 12)
        elif place == "answer":
            await asyncio.sleep(chance.random() / 10)
    if chance.random() < 0.5:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return place


async def storm(port: int, streams: int, seed: int) -> Counter[str]:
    """Cut many streams, some of them at the same time. Returns how many were cut where."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        async with gate:
            return await cut_stream(port, random.Random(f"{seed} {number}"))

    return Counter(await asyncio.gather(*map(one, range(streams))))


@pytest.mark.timeout(60 + STREAMS)
def test_nothing_is_left_of_streams_that_were_cut(models: Path) -> None:
    """Rows, queue, descriptors, threads and memory return to what they were, every sequence is
    counted as cancelled, and the service answers as before.
    """
    options = ("--default-language-model", "words", "--no-access-log")
    cache = ("--state-cache-bytes", str(1 << 20))
    with RunningService(models, *options, *cache) as service:
        expected = service.text(max_tokens=20, seed=1)
        asyncio.run(storm(service.port, min(STREAMS, 200), seed=1))  # fills pools and caches
        eventually(lambda: resources_of(service).sequences == 0, "no sequence is left")
        before, ended = resources_of(service), finished(service, "words")
        places = asyncio.run(storm(service.port, STREAMS, seed=2))
        assert len(places) == 3
        eventually(lambda: resources_of(service).sequences == 0, "no sequence is left")
        eventually(lambda: resources_of(service).descriptors <= before.descriptors, "all closed")
        after = resources_of(service)
        assert after.threads < before.threads + WORKER_THREADS  # the pool starts them when needed
        assert after.memory_bytes - before.memory_bytes < GROWTH_BYTES
        assert service.text(max_tokens=20, seed=1) == expected
        logger.info(
            "cut: %s; memory %d MiB more",
            dict(places),
            (after.memory_bytes - before.memory_bytes) >> 20,
        )
        counts = finished(service, "words")
        assert counts["cancelled"] > ended["cancelled"]
        assert counts["error"] == 0
        assert "Traceback" not in service.output

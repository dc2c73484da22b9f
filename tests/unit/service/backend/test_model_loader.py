"""The thread that loads models beside running requests."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from service.backend.model_loader import PRIORITY, LoaderThread


def niceness() -> int:
    """The niceness of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_the_thread_gives_way_to_others_of_the_process() -> None:
    """Its niceness is above that of the process, whatever that is."""

    async def run() -> int:
        thread = LoaderThread()
        try:
            return await thread.run(niceness)
        finally:
            thread.stop()

    assert asyncio.run(run()) == min(niceness() + PRIORITY, 19)

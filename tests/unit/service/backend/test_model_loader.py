"""The thread that loads models beside running requests."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from service.backend.model_loader import LoaderThread


def niceness() -> int:
    """The niceness of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_the_thread_has_the_priority_of_the_process() -> None:
    """So have the threads of the kernels that it makes, which compute steps for as long as the
    model is served.
    """

    async def run() -> int:
        thread = LoaderThread()
        try:
            return await thread.run(niceness)
        finally:
            thread.stop()

    assert asyncio.run(run()) == niceness()

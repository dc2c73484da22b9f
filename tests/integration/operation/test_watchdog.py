"""A process that no longer works shows it, tells its clients, and ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.watchdog import EXIT_STALLED
from tests.support.service.process import PATIENCE, RunningService, error_of, eventually

pytestmark = pytest.mark.slow

# The service with a kernel that hangs, or an event loop that does, while a file exists.
_PROGRAM = """
import asyncio, os, sys, threading, time
from service.kernel.pytorch.kernel import TorchKernel
from service.routes import models

flag, run = os.environ["HANG"], TorchKernel.run

def hanging(self, *arguments, **options):
    while os.path.exists(flag + ".kernel"):
        time.sleep(0.05)
    return run(self, *arguments, **options)

TorchKernel.run = hanging
limits = models._limits

def hanging_limits(*arguments):
    while os.path.exists(flag + ".loop"):
        time.sleep(0.05)
    return limits(*arguments)

models._limits = hanging_limits
from service.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
ARGUMENTS = ("--kernel", "torch", "--heartbeat-seconds", "1", "--burst-steps", "1")


class HangingService(RunningService):
    """A service that hangs on purpose."""

    program = (sys.executable, "-c", _PROGRAM)


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """The file whose presence, with an ending, makes something hang."""
    return tmp_path / "hang"


def test_a_hanging_engine_ends_the_process(models: Path, flag: Path) -> None:
    """Live turns red, streams get an error event, whole answers and new requests get 503, and the
    process ends with its own status and the stacks of its threads in the log.
    """
    with (
        HangingService(models, *ARGUMENTS, HANG=str(flag)) as service,
        ThreadPoolExecutor() as pool,
    ):
        fields = {"model": "words", "max_tokens": 8000}
        with service.streaming(**fields) as events:
            next(events)
            flag.with_suffix(".kernel").touch()
            whole = pool.submit(service.post, "/generate", fields)
            eventually(lambda: service.client.get("/health/live").status_code == 503, "not live")
            last = list(events)[-1]
        assert last["error"]["type"] == "not_live"
        response = whole.result(timeout=PATIENCE)
        assert response.status_code == 503
        assert error_of(response)["type"] == "not_live"
        assert service.wait() == EXIT_STALLED
        assert "the step loop has not moved for 1 seconds" in service.output
        assert "hanging" in service.output, "the stack of the engine's thread"


def test_a_hanging_event_loop_ends_the_process(models: Path, flag: Path) -> None:
    """A process that answers nothing any more ends, too."""
    with (
        HangingService(models, *ARGUMENTS, HANG=str(flag)) as service,
        ThreadPoolExecutor() as pool,
    ):
        flag.with_suffix(".loop").touch()
        asked = pool.submit(service.client.get, "/models")
        assert service.wait() == EXIT_STALLED
        assert asked.exception(timeout=PATIENCE) is not None
        assert "the event loop has not moved for 1 seconds" in service.output


def test_a_hanging_engine_does_not_keep_a_draining_process(models: Path, flag: Path) -> None:
    """SIGTERM ends a process whose engine hangs; its clients get an error."""
    arguments = ("--kernel", "torch", "--heartbeat-seconds", "60", "--drain-seconds", "0.1")
    with HangingService(models, *arguments, HANG=str(flag)) as service:
        with service.streaming(model="words", max_tokens=8000) as events:
            next(events)
            flag.with_suffix(".kernel").touch()
            service.signal(signal.SIGTERM)
            last = list(events)[-1]
        assert last["error"]["type"] == "draining"
        assert service.wait() == 0


def test_a_suspended_process_goes_on(models: Path) -> None:
    """A process that was stopped and continued, as by `docker pause`, has not stalled."""
    with RunningService(models, "--heartbeat-seconds", "2") as service:
        os.kill(service.process.pid, signal.SIGSTOP)
        time.sleep(5)
        os.kill(service.process.pid, signal.SIGCONT)
        for _ in range(5):
            time.sleep(0.3)
            assert service.text(model="words", max_tokens=2)


def test_clients_of_a_killed_process_get_errors(models: Path) -> None:
    """A stream breaks with an error of the connection and does not look complete."""
    with (
        RunningService(models, "--max-tokens", "1000000") as service,
        service.streaming(model="words", max_tokens=1_000_000) as stream,
    ):
        next(stream)
        service.signal(signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            list(stream)

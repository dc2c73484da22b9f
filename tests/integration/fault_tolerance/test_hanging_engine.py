"""A step loop that hangs, and a process that is killed."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service.process import RunningService, error_of, eventually

# The service, except that one seed stops the step loop for good.
HANGING = """
import sys, threading
from service.__main__ import main
from service.engine.runners.language_model import LanguageModelRunner

accept = LanguageModelRunner.accept

def accept_or_hang(self, request):
    if any(getattr(s, "_sampling", None) and s._sampling.seed == 666 for s in request.sequences):
        threading.Event().wait()
    accept(self, request)

LanguageModelRunner.accept = accept_or_hang
sys.exit(main(sys.argv[1:]))
"""


class HangingService(RunningService):
    """A service whose step loop hangs on a request with seed 666."""

    program = (sys.executable, "-c", HANGING)


def test_a_step_loop_that_hangs_is_told_to_all(models: Path) -> None:
    """/health/live and /health/ready fail, running requests get errors, whole or as events of
    their stream, and the process ends with status 1 and the stacks in its log.
    """
    slow = ("--kernel", "torch", "--burst-steps", "1", "--max-tokens", "1000000")
    limits = ("--heartbeat-seconds", "1", "--hang-seconds", "4")
    with (
        HangingService(models, "--default-language-model", "words", *slow, *limits) as service,
        service.streaming(max_tokens=1_000_000) as stream,
    ):
        next(stream)
        answers: list[httpx.Response] = []

        def ask() -> None:
            body = {"max_tokens": 1, "seed": 666}
            answers.append(service.post("/generate", body))

        asking = threading.Thread(target=ask)
        asking.start()
        eventually(lambda: service.client.get("/health/live").status_code == 503, "not live")
        assert service.client.get("/health/ready").status_code == 503
        last: dict[str, Any] = {}
        for last in stream:  # noqa: B007
            pass
        assert last["error"]["type"] == "internal_error"
        asking.join()
        assert answers[0].status_code == 500
        assert error_of(answers[0])["type"] == "internal_error"
        assert service.wait() == 1
    assert "the step loop has not moved for 4 seconds" in service.output
    assert "accept_or_hang" in service.output


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

"""A worker's share of the settings, and the command that starts it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.backend.settings import Settings
from service.supervisor.launch import (
    VARIABLE,
    Inheritance,
    command_of,
    describe_status,
    inherited,
    worker_settings,
)


@given(st.integers(1, 64), st.integers(2, 16))
def test_the_workers_share_the_threads(threads: int, workers: int) -> None:
    """All threads are given out, one at least to each worker, as evenly as possible."""
    settings = Settings(threads=threads, workers=workers)
    shares = [worker_settings(settings, slot, workers).thread_count for slot in range(workers)]
    assert sum(shares) == max(threads, workers)
    assert max(shares) - min(shares) <= 1


def test_memory_and_connections_are_divided_and_limits_of_clients_are_not() -> None:
    """The bounds of memory and connections hold for the service, those of a client in a worker."""
    whole = Settings(max_connections=1001, state_cache_bytes=10, max_answers_bytes=20, max_rows=8)
    share = worker_settings(whole, 0, 2)
    assert (share.max_connections, share.state_cache_bytes, share.max_answers_bytes) == (501, 5, 10)
    assert (share.max_rows, share.max_waiting) == (8, whole.max_waiting)


def test_a_process_inherits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is removed, so that no child of a worker takes itself for the worker."""
    fields = {"slot": 1, "workers": 2, "listeners": [3], "channel": 4, "board": 5}
    monkeypatch.setenv(VARIABLE, json.dumps(fields))
    assert inherited() == Inheritance(1, 2, (3,), 4, 5)
    assert inherited() is None


def test_a_process_with_another_command_line_is_refused() -> None:
    """The command line of a program that calls the service cannot be started again."""
    with pytest.raises(RuntimeError, match="python -m service"):
        command_of(["--not-in-the-command-line"])


@pytest.mark.parametrize(
    ("status", "text"),
    [(3, "ended with status 3"), (-9, "was killed by SIGKILL"), (-99, "was killed by signal 99")],
)
def test_the_end_of_a_process_is_described(status: int, text: str) -> None:
    """Statuses and signals are told apart."""
    assert describe_status(status) == text

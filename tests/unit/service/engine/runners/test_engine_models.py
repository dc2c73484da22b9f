"""Models that are served, replaced and removed while the engine runs."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from model.artifact import Artifact
from service.engine.api.errors import UnknownModel
from service.engine.runners.engine import EngineOptions
from tests.support.service.continuing import ask
from tests.support.service.engine_client import (
    PATIENCE,
    EngineClient,
    finished_of,
    language_model,
    serving,
    text_of,
)

OPTIONS = EngineOptions(threads=1, kernel="torch", burst_steps=1)
LONG = 400


@pytest.fixture
def versions(tmp_path: Path) -> list[Artifact]:
    """Two versions of a model."""
    return [language_model(tmp_path / str(seed), seed=seed) for seed in range(2)]


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for the engine's thread."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def begun(served: EngineClient, ticket: int) -> None:
    """Wait for the first event of a task."""
    served.wait_until(lambda: bool(served.events[ticket]))


def test_open_requests_end_on_the_version_they_began_with(versions: list[Artifact]) -> None:
    """A request that has begun keeps its text; the next one gets that of the new version."""
    task = ask(max_tokens=LONG)
    texts = []
    for version in versions:
        with serving({"m": version}, OPTIONS) as alone:
            texts.append(alone.text(task))
    assert texts[0] != texts[1]
    with serving({"m": versions[0]}, OPTIONS) as served:
        first = served.submit(task)
        begun(served, first)
        served.engine.serve(served.engine.build("m", versions[1]))
        second = served.submit(task)
        assert text_of(served.wait(first)) == texts[0]
        assert text_of(served.wait(second)) == texts[1]
        eventually(lambda: not served.engine.retiring)


def test_a_removed_model_ends_its_requests(versions: list[Artifact]) -> None:
    """It refuses new requests at once, is retiring while one runs, can be cancelled, and others are
    not affected.
    """
    with serving({"m": versions[0], "other": versions[1]}, OPTIONS) as served:
        tickets = [served.submit(ask(max_tokens=LONG)) for _ in range(2)]
        for ticket in tickets:
            begun(served, ticket)
        served.engine.remove("m")
        with pytest.raises(UnknownModel):
            served.submit(ask(max_tokens=1))
        assert list(served.engine.models) == ["other"]
        served.engine.cancel(tickets[1])
        finished_of(served.wait(tickets[0]))
        eventually(lambda: not served.engine.retiring)
        assert not served.events[tickets[1]][-1].final


def test_a_request_that_is_prepared_during_a_change_is_served(versions: list[Artifact]) -> None:
    """The version that has checked and tokenized a request also serves it."""
    with serving({"m": versions[0]}, OPTIONS) as served:
        expected = served.text(ask(max_tokens=20))
        ticket = 999

        def change(_: object) -> None:  # called between the preparation and the submission
            served.engine.serve(served.engine.build("m", versions[1]))
            eventually(lambda: not served.engine.retiring)

        served.engine.submit(ask(max_tokens=20), ticket, change)
        assert text_of(served.wait(ticket)) == expected
        eventually(lambda: not served.engine.retiring)


def test_a_replaced_runner_is_freed(versions: list[Artifact]) -> None:
    """Nothing refers to a runner once its last request has ended."""
    with serving({}, OPTIONS) as served:
        runner = served.engine.build("m", versions[0])
        served.engine.serve(runner)
        gone = weakref.ref(runner)
        del runner
        served.text(ask(max_tokens=5))
        served.engine.serve(served.engine.build("m", versions[1]))
        served.text(ask(max_tokens=5))
        eventually(lambda: not served.engine.retiring)

        def is_freed() -> bool:
            gc.collect()
            return gone() is None

        eventually(is_freed)

"""Each alert fires by its real condition: real services with faults, scraped by a real Prometheus.

Only the durations of the rules are shortened. One scenario causes all conditions, one after the
other, and the tests look at what has fired.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.monitoring.prometheus import PROGRAM, RULES, Prometheus
from tests.support.service.process import RunningService, eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed"),
    pytest.mark.timeout(300),  # the scenario waits for all alerts
]
ALERTS = [
    rule["alert"]
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
LONGEST_WAIT = 30.0  # seconds for an alert; then the scenario goes on without it
ROWS, WAITING = 2, 4
STARTS = 3
SETTINGS = (
    *("--max-rows", str(ROWS), "--max-waiting", str(WAITING), "--heartbeat-seconds", "0.5"),
    *("--kernel", "native", "--drain-seconds", "60"),
)


class FaultyService(RunningService):
    """The service with faults that files in its directory switch on."""

    program = (sys.executable, "-m", "tests.support.monitoring.faulty_service")

    def __init__(self, models: Path, faults: Path, *arguments: str) -> None:
        super().__init__(models, *SETTINGS, *arguments, FAULTS=str(faults))
        self._faults = faults

    def set_fault(self, name: str, *, on: bool) -> None:
        """Switch a fault on or off."""
        if on:
            (self._faults / name).touch()
        else:
            (self._faults / name).unlink(missing_ok=True)

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """The fault is on within the context."""
        self.set_fault(name, on=True)
        try:
            yield
        finally:
            self.set_fault(name, on=False)


class Scenario:
    """Causes the conditions of the alerts at one instance. ``fired``: alerts and instances."""

    def __init__(self, prometheus: Prometheus, service: FaultyService) -> None:
        self.fired: set[tuple[str, str]] = set()
        self._prometheus = prometheus
        self._service = service

    def run(self) -> None:
        """All conditions, in an order in which one prepares the next."""
        self._wait_for("UnrollModelRefused")
        with self._service.fault("fail"), self._requests():
            self._wait_for("UnrollErrors")
        with self._service.fault("no-rows"):
            with self._requests(deadline_ms=1):
                self._wait_for("UnrollDeadlines")
            with ThreadPoolExecutor(ROWS + WAITING) as clients:
                for _ in range(ROWS + WAITING):
                    clients.submit(self._ask)
                self._wait_for("UnrollWaitingNotRunning", "UnrollQueueFilling")
                with self._requests():
                    self._wait_for("UnrollRejecting")
                self._service.set_fault("no-rows", on=False)  # those that wait are served
        self._wait_for("UnrollSlowFirstToken")  # they waited for more than a second
        with ThreadPoolExecutor(1) as client, self._service.fault("hang"):
            client.submit(self._ask, max_tokens=1000)
            self._wait_for("UnrollNotLive", "UnrollStepLoopStalled")
            self._service.signal(signal.SIGTERM)
            eventually(lambda: self._service.metric("unroll_draining") == 1, "it drains")
            with self._requests():
                self._wait_for("UnrollDraining")
            self._service.process.kill()
            self._wait_for("UnrollDown")

    def _ask(self, **fields: object) -> None:
        body = {"prompt": "The", "max_tokens": 4, **fields}
        try:
            self._service.post("/generate", body)
        except httpx.TransportError:  # the process was killed
            return

    @contextmanager
    def _requests(self, **fields: object) -> Iterator[None]:
        """Requests one after the other, within the context."""
        stop = threading.Event()

        def ask() -> None:
            while not stop.wait(0.05):
                self._ask(**fields)

        client = threading.Thread(target=ask)
        client.start()
        try:
            yield
        finally:
            stop.set()
            client.join()

    def _wait_for(self, *alerts: str) -> None:
        self.wait_for(self._service.port, *alerts)

    def wait_for(self, port: int, *alerts: str) -> None:
        """Wait until the alerts have fired for the instance, or for LONGEST_WAIT."""
        latest = time.monotonic() + LONGEST_WAIT
        wanted = {(alert, f"127.0.0.1:{port}") for alert in alerts}
        while not wanted <= self.fired and time.monotonic() < latest:
            self.fired |= self._prometheus.firing()
            time.sleep(0.1)


def restart(
    prometheus: Prometheus, first: FaultyService, again: Callable[[], FaultyService]
) -> None:
    """End the service and start it again, STARTS times, each time until it is scraped."""
    instance = f'{{instance="127.0.0.1:{first.port}"}}'

    def starts() -> float:
        series = prometheus.query(f"changes(process_start_time_seconds{instance}[3m])")
        return series[0][1] if series else -1.0

    eventually(lambda: starts() == 0, "the first start is scraped")
    first.process.kill()
    for number in range(1, STARTS + 1):
        with again():
            eventually(lambda: starts() == number, "a start is scraped")  # noqa: B023


@pytest.fixture(scope="module")
def fired(
    models: Path, service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> set[tuple[str, str]]:
    """The alerts that fired in the scenario, with `faulty`, `empty` or `healthy`."""
    some = tmp_path_factory.mktemp("some-models")
    shutil.copytree(models / "words", some / "words")
    (some / "broken").mkdir()
    (some / "broken" / "manifest.json").write_text("{}")
    faults, none = tmp_path_factory.mktemp("faults"), tmp_path_factory.mktemp("none")
    no_models = tmp_path_factory.mktemp("no-models")
    with (
        FaultyService(some, faults) as faulty,
        FaultyService(no_models, none) as empty,
        Prometheus(
            tmp_path_factory.mktemp("prometheus"), [service.port, faulty.port, empty.port]
        ) as prometheus,
    ):
        scenario = Scenario(prometheus, faulty)
        with ThreadPoolExecutor(1) as beside:
            port = str(empty.port)
            again = partial(FaultyService, no_models, none, "--port", port)
            scenario.wait_for(empty.port, "UnrollNoModel")
            restarts = beside.submit(restart, prometheus, empty, again)
            scenario.run()
            restarts.result()
        scenario.wait_for(empty.port, "UnrollRestarting")
        names = {service.port: "healthy", faulty.port: "faulty", empty.port: "empty"}
        return {
            (alert, names[int(instance.rpartition(":")[2])]) for alert, instance in scenario.fired
        }


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_by_its_condition(fired: set[tuple[str, str]], alert: str) -> None:
    """The alert fired for the instance that had its condition."""
    instance = "empty" if alert in {"UnrollNoModel", "UnrollRestarting"} else "faulty"
    assert (alert, instance) in fired


def test_healthy_instances_fire_nothing(fired: set[tuple[str, str]]) -> None:
    """Nothing fired for the service without faults; for that without models, which was started
    several times, nothing else.
    """
    assert {alert for alert, instance in fired if instance == "healthy"} == set()
    expected = {"UnrollNoModel", "UnrollRestarting", "UnrollDown"}
    assert {alert for alert, instance in fired if instance == "empty"} <= expected

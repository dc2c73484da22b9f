"""Every query of the dashboard, executed on a Prometheus that has scraped a service under load."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.monitoring import dashboard
from tests.support.monitoring.dashboard import DASHBOARD, QUERIES
from tests.support.monitoring.prometheus import PROGRAM, WINDOW, Prometheus
from tests.support.service.process import RunningService, eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed"),
]
LABEL_VALUES = re.compile(r"label_values\((?P<selector>.*), (?P<label>\w+)\)")
SCRAPES = 6  # under load


def load(service: RunningService, stop: threading.Event) -> None:
    """Requests of all kinds, again and again, with prompts that the state cache knows."""
    while not stop.is_set():
        for model in ("words", "chars"):
            service.ask("/generate", model=model, prompt="The keys to", max_tokens=60, n=2)
        service.ask("/score", texts=["The keys to the cabinet"])
        service.ask("/next-word", prompt="The")
        service.ask("/classify", texts=["A dog near the cats", "small birds"])


@pytest.fixture(scope="module")
def prometheus(
    service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that scraped the service while it worked, and still does."""
    stop = threading.Event()
    with Prometheus(tmp_path_factory.mktemp("prometheus"), [service.port]) as running:
        client = threading.Thread(target=load, args=(service, stop))
        client.start()
        try:
            enough = f"min(count_over_time(unroll_live[{WINDOW}])) >= {SCRAPES}"
            eventually(lambda: bool(running.query(enough)), "it has scraped")
            yield running
        finally:
            stop.set()
            client.join()


def selected(query: str, service: RunningService) -> str:
    """The query as Grafana sends it, with this service and all its models selected."""
    return dashboard.selected(
        query,
        instance=f"127.0.0.1:{service.port}",
        models=[model["name"] for model in service.client.get("/models").json()["models"]],
        window=WINDOW,
    )


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_panel_shows_numbers(prometheus: Prometheus, service: RunningService, query: str) -> None:
    """The query of a panel returns series, and each value is a finite number."""
    series = prometheus.query(selected(query, service))
    assert series
    assert all(math.isfinite(value) for _, value in series), series


def test_language_models_and_classifiers_are_apart(
    prometheus: Prometheus, service: RunningService
) -> None:
    """A panel by model, of a row of one kind, has series of that kind alone."""
    kinds = {
        model["name"]: model["kind"] for model in service.client.get("/models").json()["models"]
    }
    row, seen = "", set()
    for panel in DASHBOARD["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        for target in panel.get("targets", []):
            wanted = {"Language models": "language-model", "Classifiers": "classifier"}.get(row)
            for labels, _ in prometheus.query(selected(target["expr"], service)):
                if wanted is not None and "model" in labels:
                    assert kinds[labels["model"]] == wanted, panel["title"]
                    seen.add(wanted)
    assert seen == {"language-model", "classifier"}


def test_variables_have_values(prometheus: Prometheus, service: RunningService) -> None:
    """Job, instance and model can be chosen, and each choice is a value of a label."""
    values: dict[str, set[str]] = {}
    for variable in DASHBOARD["templating"]["list"]:
        match = LABEL_VALUES.fullmatch(selected(variable["definition"], service))
        assert match is not None
        values[variable["name"]] = prometheus.label_values(match["selector"], match["label"])
    assert values["job"] == {"unroll"}
    assert values["instance"] == {f"127.0.0.1:{service.port}"}
    assert {"words", "sentiment"} <= values["model"]


def test_a_start_has_its_mark(prometheus: Prometheus, service: RunningService) -> None:
    """The annotation of starts has the time of the start as its value, in milliseconds, whatever
    was before it.
    """
    (starts,) = (each for each in _annotations() if each["name"] == "Starts")
    assert starts["useValueForTime"]
    ((_, value),) = prometheus.query(selected(starts["expr"], service))
    assert 0 < time.time() - value / 1000 < 3600


def test_the_share_of_time_in_steps_is_a_share(
    prometheus: Prometheus, service: RunningService
) -> None:
    """All models together are not longer in steps than time has passed, apart from the inexact
    ends of a window. Every sampled token is a row of a step.
    """
    total = prometheus.query(f"sum(rate(unroll_step_seconds_sum[{WINDOW}]))")[0][1]
    assert 0 < total < 1.5
    steps = prometheus.query("sum(unroll_step_seconds_count)")[0][1]
    rows = prometheus.query("sum(unroll_batch_rows_sum)")[0][1]
    tokens = prometheus.query("sum(unroll_generated_tokens_total)")[0][1]
    assert max(steps, tokens) <= rows


def _annotations() -> list[dict[str, Any]]:
    annotations: list[dict[str, Any]] = DASHBOARD["annotations"]["list"]
    return annotations

"""What the containers read: the compose file, the alert rules and the dashboard fit the service.

Whether the image builds and runs needs a container engine: tests/image asks that.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from service.backend.metrics import Metrics
from tests.support.repository import ROOT

ALERTS = ROOT / "docker" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "unroll.json"
PUBLISHED = re.compile(r"^# TYPE (?P<name>\w+) (?P<kind>\w+)$", re.MULTILINE)
USED = re.compile(r"\b(?:unroll|process|python)_[a-z0-9_]+\b")
LABELS = re.compile(r"(?P<metric>\bunroll_\w+)\{(?P<labels>[^}]*)\}")


def read(path: str) -> Any:
    """A YAML file of the tree."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def exposition() -> str:
    """What a service with one model publishes before anyone has asked it anything."""
    facts = {"version": "1", "kind": "language-model", "cell": "lstm", "tokenizer": "word"}
    return Metrics({"words": facts}, ["/generate"]).exposition().decode()


def published_names() -> set[str]:
    """Every series name that a query may use: histograms by their three."""
    names = set()
    for found in PUBLISHED.finditer(exposition()):
        name, kind = found["name"], found["kind"]
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        names |= {name + suffix for suffix in suffixes}
    return names


def alert_rules() -> list[dict[str, Any]]:
    """All rules of the alert file."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_queries() -> Iterator[str]:
    """Every query of every panel, variable and annotation."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (variable["definition"] for variable in dashboard["templating"]["list"])
    yield from (note["expr"] for note in dashboard["annotations"]["list"])


def queries() -> list[str]:
    """Everything that is asked of Prometheus anywhere in the tree."""
    return [*(rule["expr"] for rule in alert_rules()), *dashboard_queries()]


def test_queries_use_only_what_the_service_publishes() -> None:
    """No alert and no panel waits for a metric that nobody writes."""
    used = {name for query in queries() for name in USED.findall(query)}
    assert len(used) > 10
    # The process collector publishes on Linux alone.
    known = published_names() | {
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    }
    assert used - known == set()


def test_every_metric_is_on_the_dashboard() -> None:
    """What the service takes the trouble to publish can be seen."""
    shown = {name for query in dashboard_queries() for name in USED.findall(query)}
    families = {found["name"] for found in PUBLISHED.finditer(exposition())}
    hidden = {
        family
        for family in families
        if family.startswith("unroll_")
        and not family.endswith("_created")
        and not any(name.startswith(family) for name in shown)
    }
    assert hidden == set()


def test_queries_use_only_labels_that_exist() -> None:
    """A selector by a label that a metric does not have would match nothing, for ever."""
    series = exposition()
    wrong = []
    for query in queries():
        for found in LABELS.finditer(query):
            line = re.search(rf"^{found['metric']}\{{([^}}]*)\}}", series, re.MULTILINE)
            assert line is not None, f"{found['metric']} is not published at the start"
            existing = set(re.findall(r"(\w+)=", line[1])) | {"instance", "job"}
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", found["labels"]))
            wrong += [f"{found['metric']}: {label}" for label in asked - existing]
    assert wrong == []


def test_alerts_say_what_to_do() -> None:
    """Each alert has a severity that routes know, and the three sentences a person needs."""
    for rule in alert_rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "action"}, rule["alert"]
        assert all(len(text) > 20 for text in rule["annotations"].values()), rule["alert"]


def test_every_alert_is_seen_to_fire() -> None:
    """The rule tests name each alert."""
    tested = (ROOT / "docker" / "prometheus" / "alerts_test.yml").read_text(encoding="utf-8")
    silent = [rule["alert"] for rule in alert_rules() if rule["alert"] not in tested]
    assert silent == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    """Prometheus's own tool accepts the configuration, and the alerts fire when they should."""
    answer = subprocess.run(
        ["promtool", *command],
        cwd=ALERTS.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_likes_the_metrics() -> None:
    """Names, units and help texts follow the conventions of Prometheus."""
    answer = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_panels_have_a_place_of_their_own() -> None:
    """No two panels overlap, all fit the width, each has an id of its own."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_compose_locks_the_service_in() -> None:
    """The service runs read-only, without capabilities, bounded, and listens to this machine."""
    compose = read("docker-compose.yml")
    service = compose["services"]["unroll"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"cpus", "mem_limit", "pids_limit", "healthcheck"} <= set(service)
    for name, one in compose["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in one["ports"]), name


def test_compose_pins_the_images_of_others() -> None:
    """An image that is not built here has a version, and not `latest`."""
    for name, one in read("docker-compose.yml")["services"].items():
        if "build" not in one:
            image = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", one["image"])
            assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", image), name


def test_mounted_files_are_there() -> None:
    """What the compose file mounts from the tree, and what those files name, exists."""
    for one in read("docker-compose.yml")["services"].values():
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_dir(), source
    rules = read("docker/prometheus/prometheus.yml")["rule_files"]
    assert all((ALERTS.parent / name).is_file() for name in rules)
    sources = read("docker/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    used = set(re.findall(r'"uid": "(\w+)"', DASHBOARD.read_text(encoding="utf-8")))
    assert used == {sources[0]["uid"], "unroll"}

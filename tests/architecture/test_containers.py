"""The compose file, the alert rules and the dashboard fit the service.

tests/image builds and runs the image, which needs a container engine.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from docker.grafana.dashboard.__main__ import text
from docker.grafana.dashboard.queries import WORK
from service.app import _ROUTERS
from service.backend.metrics import OTHER_ROUTE, Metrics
from tests.support.repository import ROOT

ALERTS = ROOT / "docker" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "unroll.json"
PUBLISHED = re.compile(r"^# TYPE (?P<name>\w+) (?P<kind>\w+)$", re.MULTILINE)
USED = re.compile(r"(?<![:\w])(?:unroll|process|python)_[a-z0-9_]+\b")
LABELS = re.compile(r"(?P<metric>\bunroll_\w+)\{(?P<labels>[^}]*)\}")


def read(path: str) -> Any:
    """Parses a YAML file of the repository."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def exposition() -> str:
    """The metrics of a service with one model before its first request."""
    facts = {"version": "1", "kind": "language-model", "cell": "lstm", "tokenizer": "word"}
    return Metrics({"words": facts}, ["/generate"]).exposition().decode()


def published_names() -> set[str]:
    """Every series name that a query may use; a histogram has three."""
    names = set()
    for match in PUBLISHED.finditer(exposition()):
        name, kind = match["name"], match["kind"]
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        names |= {name + suffix for suffix in suffixes}
    return names


def rules() -> list[dict[str, Any]]:
    """The rules of the alert file, with the recorded series."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alert_rules() -> list[dict[str, Any]]:
    """The alerts."""
    return [rule for rule in rules() if "alert" in rule]


def dashboard_queries() -> Iterator[str]:
    """The queries of all panels, variables and annotations."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (variable["definition"] for variable in dashboard["templating"]["list"])
    yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])


def queries() -> list[str]:
    """All Prometheus queries of the repository."""
    return [*(rule["expr"] for rule in rules()), *dashboard_queries()]


def test_the_dashboard_is_up_to_date() -> None:
    """dashboards/unroll.json is what the script writes."""
    assert DASHBOARD.read_text(encoding="utf-8") == text(), "make dashboard"


def test_ratios_count_requests_for_work_only() -> None:
    """The pattern of routes in alerts and panels keeps every POST of the service but those of the
    operator, and drops every GET: scrapes, probes, pages.
    """
    assert WORK in ALERTS.read_text(encoding="utf-8")
    pattern = re.compile(WORK.removeprefix('route!~"').removesuffix('"'))
    assert pattern.fullmatch(OTHER_ROUTE)
    for module in _ROUTERS:
        for route in module.router.routes:
            is_work = pattern.fullmatch(route.path) is None
            of_clients = "POST" in route.methods and not route.path.startswith("/admin")
            assert is_work == of_clients, route.path


def test_queries_use_only_published_metrics() -> None:
    """The service publishes every metric of the alerts and panels."""
    used = {name for query in queries() for name in USED.findall(query)}
    assert len(used) > 10
    # The process collector publishes on Linux only.
    known = published_names() | {
        "process_open_fds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    }
    assert used - known == set()


def test_every_metric_is_on_the_dashboard() -> None:
    """A panel of the dashboard shows every metric of the service."""
    shown = {name for query in dashboard_queries() for name in USED.findall(query)}
    families = {match["name"] for match in PUBLISHED.finditer(exposition())}
    hidden = {
        family
        for family in families
        if family.startswith("unroll_")
        and not family.endswith("_created")
        and not any(name.startswith(family) for name in shown)
    }
    assert hidden == set()


def test_queries_use_only_labels_that_exist() -> None:
    """Every label of a selector is a label of its metric; another one would match nothing."""
    series = exposition()
    violations = []
    for query in queries():
        for match in LABELS.finditer(query):
            metric = match["metric"]
            line = re.search(rf"^{metric}(?:\{{([^}}]*)\}})? ", series, re.MULTILINE)
            assert line is not None, f"{metric} is not published at the start"
            existing = set(re.findall(r"(\w+)=", line[1] or "")) | {"instance", "job"}
            selected = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", match["labels"]))
            violations += [f"{metric}: {label}" for label in selected - existing]
    assert violations == []


def test_alerts_have_severity_and_annotations() -> None:
    """Every alert has a known severity, a summary, a description and an action."""
    for rule in alert_rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        texts = dict(rule["annotations"])
        assert texts.pop("runbook_url").endswith(f"operations.md#{rule['alert'].lower()}")
        assert set(texts) == {"summary", "description", "action"}, rule["alert"]
        assert all(len(text) > 20 for text in texts.values()), rule["alert"]


def test_every_alert_has_a_runbook() -> None:
    """docs/guide/operations.md has a section for each alert, whose anchor is in its annotations."""
    guide = (ROOT / "docs" / "guide" / "operations.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (Unroll\w+)$", guide, re.MULTILINE)
    assert sections == [rule["alert"] for rule in alert_rules()]


def test_every_alert_has_a_rule_test() -> None:
    """The rule tests of Prometheus name every alert."""
    tests = (ROOT / "docker" / "prometheus" / "alerts_test.yml").read_text(encoding="utf-8")
    untested = [rule["alert"] for rule in alert_rules() if rule["alert"] not in tests]
    assert untested == []


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
def test_promtool_accepts_the_rules(command: tuple[str, ...]) -> None:
    """Promtool accepts the configuration, and the rule tests pass."""
    process = subprocess.run(
        ["promtool", *command],
        cwd=ALERTS.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_metrics() -> None:
    """Names, units and help texts follow the conventions of Prometheus."""
    process = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_panels_do_not_overlap() -> None:
    """Panels have distinct ids, fit the width of the dashboard and do not overlap."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    occupied: set[tuple[int, int]] = set()
    for panel in panels:
        position = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(position["x"], position["x"] + position["w"])
            for y in range(position["y"], position["y"] + position["h"])
        }
        assert position["x"] + position["w"] <= 24, panel["title"]
        assert not cells & occupied, panel["title"]
        occupied |= cells


def test_compose_confines_the_service() -> None:
    """The service is read-only, without capabilities, bounded, and reachable locally only."""
    compose = read("docker-compose.yml")
    service = compose["services"]["unroll"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"cpus", "mem_limit", "pids_limit", "healthcheck"} <= set(service)
    for name, container in compose["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in container["ports"]), name


def test_compose_pins_the_images_of_others() -> None:
    """Every image that is not built here has a version."""
    for name, container in read("docker-compose.yml")["services"].items():
        if "build" not in container:
            image = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", container["image"])
            assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+(-alpine)?", image), name


def test_mounted_files_exist() -> None:
    """The directories that the compose file mounts exist, and the files that they refer to."""
    for container in read("docker-compose.yml")["services"].values():
        for volume in container.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_dir(), source
    rules = read("docker/prometheus/prometheus.yml")["rule_files"]
    assert all((ALERTS.parent / name).is_file() for name in rules)
    sources = read("docker/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    used = set(re.findall(r'"uid": "(\w+)"', DASHBOARD.read_text(encoding="utf-8")))
    assert used == {sources[0]["uid"], "unroll"}


def test_grafana_is_provisioned_with_paths_of_the_composition() -> None:
    """The data source is a service of the composition at the port where it listens; dashboards are
    read where they are mounted, and the first page is one of them.
    """
    services = read("docker-compose.yml")["services"]
    (source,) = read("docker/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    address = re.fullmatch(r"http://(?P<service>\w+):(?P<port>\d+)", source["url"])
    assert address is not None
    published = services[address["service"]]["ports"]
    assert [port.rpartition(":")[2] for port in published] == [address["port"]]
    mounts = dict(
        reversed(volume.removesuffix(":ro").split(":")) for volume in services["grafana"]["volumes"]
    )
    (provider,) = read("docker/grafana/provisioning/dashboards/unroll.yml")["providers"]
    dashboards = provider["options"]["path"]
    first = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / mounts[dashboards] / first.removeprefix(f"{dashboards}/")).is_file()
    assert mounts["/etc/grafana/provisioning"] == "./docker/grafana/provisioning"

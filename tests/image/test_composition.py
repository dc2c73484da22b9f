"""The service and Prometheus together, as docker-compose.yml describes them.

Prometheus is that of Debian, in an image made here, with the command line and the files of the
composition. Both containers share one network namespace, so that no bridge is needed. Grafana is
left out: it is neither a Debian package nor in an image that can be had without a registry.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.image.conftest import LOCKED_IN
from tests.image.container import Container
from tests.image.engine import Engine
from tests.image.stand_in_base import PACKAGES, BaseUnavailableError, make_root_file_system
from tests.support.repository import ROOT
from tests.support.service.small_artifacts import save_all

pytestmark = pytest.mark.timeout(1500)

SCRAPED_SECONDS = 120
ASK_PROMETHEUS = """
import sys, urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9090" + sys.argv[1], timeout=30).read().decode())
"""


@pytest.fixture(scope="module")
def prometheus_image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with Debian's Prometheus."""
    packages = f"{PACKAGES},prometheus"
    try:
        archive = make_root_file_system(tmp_path_factory.mktemp("prometheus"), packages)
    except BaseUnavailableError as error:
        pytest.skip(str(error))
    name = "localhost/unroll-test-prometheus:latest"
    engine.load(archive, name)
    archive.unlink()
    return name


@pytest.fixture(scope="module")
def composed(
    engine: Engine, image: str, prometheus_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Container:
    """The service, with models mounted from outside, scraped by Prometheus."""
    models = tmp_path_factory.mktemp("models")
    save_all(models)
    for path in (*models.parents, models, *models.rglob("*")):
        if path.is_relative_to(tmp_path_factory.getbasetemp()):
            path.chmod(0o755 if path.is_dir() else 0o644)
    mounts = ("--volume", f"{models}:/models:ro", "--add-host", "unroll:127.0.0.1")
    service = Container(engine, engine.start(image, *LOCKED_IN, *mounts))
    service.wait_until_healthy()
    composition = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    engine.start(
        prometheus_image,
        *("--read-only", "--tmpfs", "/prometheus:mode=1777", "--cap-drop", "ALL"),
        *("--user", "65534:65534", "--security-opt", "no-new-privileges"),
        *("--volume", f"{_readable_copy(tmp_path_factory)}:/etc/prometheus:ro"),
        network=f"container:{service.name}",
        command=["prometheus", *composition["services"]["prometheus"]["command"]],
    )
    return service


def test_serves_models_from_outside(composed: Container) -> None:
    """A mounted folder takes the place of the models in the image."""
    names = {model["name"] for model in composed.ask("/models")["models"]}
    assert names == {"bpe", "brief", "chars", "sentiment", "stories", "topics", "words"}


def test_prometheus_scrapes_the_service(composed: Container) -> None:
    """The target of the committed configuration is up, and a request is counted."""
    composed.ask("/generate", model="words", max_tokens=5)
    query = 'unroll_generated_tokens_total{model="words"} >= 5'
    deadline = time.monotonic() + SCRAPED_SECONDS
    while not (found := value_of(composed, query)):
        assert time.monotonic() < deadline, composed.engine.logs(composed.name)
        time.sleep(1)
    assert found[0]["metric"]["job"] == "unroll"
    assert value_of(composed, 'up{job="unroll"} == 1')


def test_prometheus_has_the_alert_rules(composed: Container) -> None:
    """All committed rules are loaded without an error."""
    groups = prometheus(composed, "/api/v1/rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    committed = yaml.safe_load((ROOT / "docker/prometheus/alerts.yml").read_text(encoding="utf-8"))
    expected = [rule["alert"] for group in committed["groups"] for rule in group["rules"]]
    assert sorted(rule["name"] for rule in rules if rule["type"] == "alerting") == sorted(expected)
    assert all(rule["health"] in {"ok", "unknown"} for rule in rules)


def prometheus(container: Container, path: str) -> Any:
    """The data of an answer of Prometheus, asked from beside it."""
    return json.loads(container.python(ASK_PROMETHEUS, path))["data"]


def value_of(container: Container, query: str) -> list[dict[str, Any]]:
    """The result of a query; empty while Prometheus starts."""
    path = "/api/v1/query?" + urllib.parse.urlencode({"query": query})
    printed = container.execute("python", "-c", ASK_PROMETHEUS, path, check=False)
    if not printed:
        return []
    result: list[dict[str, Any]] = json.loads(printed)["data"]["result"]
    return result


def _readable_copy(factory: pytest.TempPathFactory) -> Path:
    """The files of Prometheus in a directory that every user may read."""
    directory = factory.mktemp("configuration")
    for path in (ROOT / "docker" / "prometheus").iterdir():
        copy = directory / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o644)
    directory.chmod(0o755)
    return directory

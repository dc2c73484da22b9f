"""The service, Prometheus and Grafana together, as docker-compose.yml describes them.

The containers share one network namespace, in which the names of the composition are 127.0.0.1, so
that neither a bridge nor a DNS server is needed. Where no registry is reached, Prometheus is the
program of this machine in a container of the base image, and Grafana is left out.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.image.conftest import Base, make_readable
from tests.image.container import Container
from tests.image.engine import Engine
from tests.support.monitoring.dashboard import DASHBOARD, QUERIES, selected
from tests.support.repository import ROOT

pytestmark = pytest.mark.timeout(1500)

COMPOSITION = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
RULES = yaml.safe_load((ROOT / "docker/prometheus/alerts.yml").read_text(encoding="utf-8"))
NAMES = "127.0.0.1 localhost unroll prometheus\n"
INSTANCE = "unroll:8000"
PROMETHEUS = "http://127.0.0.1:9090/api/v1"
NOBODY = "65534:65534"  # of prom/prometheus
WINDOW = "20s"  # of rates: four scrapes, as Grafana chooses it
SCRAPES = 4  # under load
PATIENCE_SECONDS = 90
GET = """
import sys, urllib.request
for address in sys.argv[1:]:
    print(urllib.request.urlopen(address, timeout=30).read().decode().strip())
"""
LOAD = """
import json, sys, time, urllib.request
def ask(path, **fields):
    request = urllib.request.Request("http://127.0.0.1:8000" + path, json.dumps(fields).encode())
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=60).read()
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for model in ("words", "chars"):
        ask("/generate", model=model, prompt="The keys to", max_tokens=60, n=2)
    ask("/score", texts=["The keys to the cabinet"])
    ask("/next-word", prompt="The")
    ask("/classify", texts=["A dog near the cats", "small birds"])
"""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hosts file. Containers of one network namespace may each have their own, so an option of
    the first one does not suffice.
    """
    path = tmp_path_factory.mktemp("names") / "hosts"
    path.write_text(NAMES, encoding="utf-8")
    make_readable(path.parent)
    return path


@pytest.fixture(scope="module")
def prometheus(
    engine: Engine,
    base: Base,
    mounted: Container,
    names: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Container:
    """Prometheus with the files and the command of the composition, beside the service."""
    configuration = tmp_path_factory.mktemp("prometheus")
    shutil.copytree(ROOT / "docker" / "prometheus", configuration, dirs_exist_ok=True)
    make_readable(configuration)
    options = [f"--volume={configuration}:/etc/prometheus:ro", "--tmpfs=/prometheus:mode=1777"]
    image, command = _image("prometheus"), COMPOSITION["prometheus"]["command"]
    if not engine.pull(image):
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip(
                f"Prometheus was not run: {image} cannot be pulled, and it is not installed"
            )
        options += [f"--user={NOBODY}", f"--volume={program}:/usr/bin/prometheus:ro"]
        image, command = base.image, ["prometheus", *command]
    return _start(engine, "prometheus", image, command, options, mounted, names)


@pytest.fixture(scope="module")
def loaded(mounted: Container, prometheus: Container) -> Container:
    """Prometheus, which has scraped the service several times under load."""
    scraped = f'count_over_time(unroll_live{{instance="{INSTANCE}"}}[{WINDOW}]) >= {SCRAPES}'
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(query(mounted, scraped)):
        assert prometheus.is_running(), prometheus.engine.logs(prometheus.name)
        assert time.monotonic() < deadline, prometheus.engine.logs(prometheus.name)
        mounted.python(LOAD, "3")
    return prometheus


def test_serves_models_from_outside(mounted: Container) -> None:
    """A mounted folder takes the place of the models in the image."""
    assert set(model_names(mounted)) == {
        *("bpe", "brief", "chars", "sentiment", "stories", "topics", "words")
    }


def test_every_target_is_up(loaded: Container, mounted: Container) -> None:
    """Prometheus scrapes the service by its name in the composition, and itself."""
    targets = api(mounted, "targets")["activeTargets"]
    health = {target["labels"]["job"]: target["health"] for target in targets}
    assert health == {"unroll": "up", "prometheus": "up"}, loaded.engine.logs(loaded.name)


def test_all_rules_are_evaluated(loaded: Container, mounted: Container) -> None:
    """Prometheus has every rule of the repository, evaluates it without an error, and no alert
    fires.
    """

    def rules() -> list[dict[str, Any]]:
        return [rule for group in api(mounted, "rules")["groups"] for rule in group["rules"]]

    _eventually(lambda: all(rule["health"] == "ok" for rule in rules()), loaded)
    expected = [
        rule.get("alert", rule.get("record"))
        for group in RULES["groups"]
        for rule in group["rules"]
    ]
    assert sorted(rule["name"] for rule in rules()) == sorted(expected)
    assert [alert for alert in api(mounted, "alerts")["alerts"] if alert["state"] == "firing"] == []


def test_every_panel_shows_numbers(loaded: Container, mounted: Container) -> None:
    """The query of each panel returns series of finite values."""
    models = model_names(mounted)
    assert loaded.is_running()
    texts = [
        selected(text, instance=INSTANCE, models=models, window=WINDOW) for text in QUERIES.values()
    ]
    without = []
    for name, found in zip(QUERIES, query(mounted, *texts), strict=True):
        values = [float(series["value"][1]) for series in found]
        if not values or not all(map(math.isfinite, values)):
            without.append((name, values))
    assert without == []


def test_grafana_shows_the_dashboard(
    engine: Engine, loaded: Container, mounted: Container, names: Path
) -> None:
    """Grafana takes over the provisioned dashboard, and its data source reaches Prometheus."""
    image = _image("grafana")
    if not engine.pull(image):
        pytest.skip(f"Grafana was not run: {image} cannot be pulled")
    settings = COMPOSITION["grafana"]
    options = [f"--env={name}={value}" for name, value in settings["environment"].items()]
    mounts = [volume for volume in settings["volumes"] if volume.startswith("./")]
    options += [f"--volume={ROOT / mount.removeprefix('./')}" for mount in mounts]
    options += ["--tmpfs=/var/lib/grafana:mode=1777"]
    grafana = _start(engine, "grafana", image, [], options, mounted, names)
    address = "http://127.0.0.1:3000/api"
    _eventually(lambda: get(mounted, f"{address}/health") != [], grafana)
    shown, up = get(
        mounted,
        f"{address}/dashboards/uid/{DASHBOARD['uid']}",
        f"{address}/datasources/proxy/uid/prometheus/api/v1/query?query=up",
    )
    assert shown["dashboard"]["title"] == DASHBOARD["title"]
    assert up["data"]["result"] != []
    assert loaded.is_running()


def get(beside: Container, *addresses: str) -> list[Any]:
    """The JSON of each address, asked for by a container; nothing while one does not answer."""
    printed = beside.execute("python", "-c", GET, *addresses, check=False).splitlines()
    return list(map(json.loads, printed)) if len(printed) == len(addresses) else []


def api(beside: Container, path: str) -> Any:
    """The data of an answer of Prometheus."""
    (answer,) = get(beside, f"{PROMETHEUS}/{path}")
    return answer["data"]


def query(beside: Container, *texts: str) -> list[list[dict[str, Any]]]:
    """The series of each query; nothing while Prometheus starts."""
    encoded = [urllib.parse.urlencode({"query": text}) for text in texts]
    answers = get(beside, *(f"{PROMETHEUS}/query?{text}" for text in encoded))
    return [answer["data"]["result"] for answer in answers]


def model_names(service: Container) -> list[str]:
    """The models that are served."""
    return [model["name"] for model in service.ask("/models")["models"]]


def _image(name: str) -> str:
    """The image of a service of the composition, by default."""
    return re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", COMPOSITION[name]["image"])


def _start(
    engine: Engine,
    name: str,
    image: str,
    command: Sequence[str],
    options: Sequence[str],
    beside: Container,
    names: Path,
) -> Container:
    """A service of the composition, confined as there, in the network namespace of another one."""
    settings = COMPOSITION[name]
    confined = ["--read-only"] if settings.get("read_only") else []
    confined += [f"--cap-drop={capability}" for capability in settings["cap_drop"]]
    confined += ["--security-opt=no-new-privileges"]
    confined += [f"--cpus={settings['cpus']}", f"--memory={settings['mem_limit']}"]
    hosts = f"--volume={names}:/etc/hosts:ro"
    network = f"container:{beside.name}"
    started = engine.start(image, *confined, *options, hosts, network=network, command=command)
    return Container(engine, started)


def _eventually(holds: Callable[[], bool], container: Container) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert container.is_running(), container.engine.logs(container.name)
        assert time.monotonic() < deadline, container.engine.logs(container.name)
        time.sleep(1)

"""The manifests in deploy/kubernetes, rendered by kubectl and compared with the service."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.backend.metrics import Metrics
from service.backend.settings import Settings
from service.http.api_keys import OPEN_PATHS
from tests.support.repository import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
TOOLS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
KUBECTL = shutil.which("kubectl", path=TOOLS)
VALIDATE = shutil.which("kubernetes-validate", path=TOOLS)

rendered_here = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


@functools.cache
def rendered() -> str:
    """The manifests as kustomize writes them."""
    assert KUBECTL is not None
    command = [KUBECTL, "kustomize", str(FOLDER)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def manifests(kind: str) -> list[dict[str, Any]]:
    """The manifests of a kind."""
    return [each for each in yaml.safe_load_all(rendered()) if each["kind"] == kind]


def only(kind: str) -> Any:
    """The only manifest of a kind."""
    (manifest,) = manifests(kind)
    return manifest


def pod() -> Any:
    """The specification of the pods."""
    return only("Deployment")["spec"]["template"]["spec"]


@rendered_here
@pytest.mark.skipif(VALIDATE is None, reason="kubernetes-validate is not installed")
def test_the_manifests_have_no_unknown_fields(tmp_path: Path) -> None:
    """Every manifest is valid by the schema of Kubernetes, which refuses unknown fields; only the
    kind of the Prometheus Operator has no schema there.
    """
    assert VALIDATE is not None
    file = tmp_path / "manifests.yaml"
    file.write_text(rendered())
    command = [VALIDATE, "--strict", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    output = ended.stdout + ended.stderr
    assert ended.returncode == 0, output
    kinds = [each["kind"] for each in yaml.safe_load_all(rendered())]
    assert output.count("passed for resource") == len(kinds) - 1
    assert output.count("find schema for kind ServiceMonitor") == 1


@rendered_here
def test_variables_are_settings_with_valid_values() -> None:
    """Every variable is a setting of the service and its value is accepted."""
    (container,) = pod()["containers"]
    names = {variable["name"] for variable in container["env"]}
    assert names <= {f"UNROLL_{name.upper()}" for name in Settings.model_fields}
    values = {
        variable["name"].removeprefix("UNROLL_").lower(): variable["value"]
        for variable in container["env"]
        if "value" in variable
    }
    Settings.model_validate(values)


@rendered_here
def test_probes_and_grace_fit_the_service() -> None:
    """Probes ask open routes, and the time to end covers the sleep, the draining and the rest."""
    (container,) = pod()["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in OPEN_PATHS
    sleep = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod()["terminationGracePeriodSeconds"] >= sleep + Settings().drain_seconds + 10
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod()["volumes"]}


@rendered_here
def test_the_container_has_no_privileges() -> None:
    """No root, no writable root file system, no capabilities, no token of the cluster."""
    (container,) = pod()["containers"]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@rendered_here
def test_selectors_match_the_pods() -> None:
    """Services, budget and spread select the pods; the monitor selects one service."""
    labels = only("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert only("Deployment")["spec"]["selector"]["matchLabels"] == labels
    for service in manifests("Service"):
        assert service["spec"]["selector"] == labels
    assert only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    (spread,) = pod()["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels
    scraped = only("ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    names = [
        service["metadata"]["name"]
        for service in manifests("Service")
        if scraped <= service["metadata"]["labels"].items()
    ]
    assert names == ["unroll-replicas"]


@rendered_here
def test_the_autoscaler_asks_for_metrics_that_exist() -> None:
    """Metrics of the autoscaler are published by the service and provided by the adapter's rule."""
    scaler = only("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["name"] == only("Deployment")["metadata"]["name"]
    facts = {"version": "1", "kind": "language-model", "cell": "lstm", "tokenizer": "word"}
    published = Metrics({"words": facts}, ["/generate"]).exposition().decode()
    names = [metric["pods"]["metric"]["name"] for metric in scaler["metrics"]]
    assert names == ["unroll_sequences_waiting", "unroll_sequences_running"]
    for name in names:
        assert f"# TYPE {name} gauge" in published
    rules = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert "unroll_sequences_(waiting|running)" in rules[0]["seriesQuery"]
    # The target of running sequences is below the rows of a replica, or it would never be reached.
    assert int(scaler["metrics"][1]["pods"]["target"]["averageValue"]) < Settings().max_rows

"""The manifests of the page "Kubernetes"."""

from __future__ import annotations

import re
from typing import Any

import yaml

from service.backend.settings import Settings
from service.http.api_keys import OPEN_PATHS
from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "guide" / "kubernetes.md"


def manifests() -> dict[str, Any]:
    """The manifests by kind."""
    match = re.search(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None
    return {each["kind"]: each for each in yaml.safe_load_all(match[1])}


def test_variables_are_settings_with_valid_values() -> None:
    """Every variable is a setting of the service and its value is accepted."""
    (container,) = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"]
    names = {variable["name"] for variable in container["env"]}
    assert names <= {f"UNROLL_{name.upper()}" for name in Settings.model_fields}
    values = {
        variable["name"].removeprefix("UNROLL_").lower(): variable["value"]
        for variable in container["env"]
        if "value" in variable
    }
    Settings.model_validate(values)


def test_probes_and_grace_fit_the_service() -> None:
    """Probes ask open routes, and the time to end covers the sleep and the draining."""
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in OPEN_PATHS
    sleep = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > sleep + Settings().drain_seconds
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_selectors_match_the_pods() -> None:
    """Service and budget select the pods of the deployment."""
    kinds = manifests()
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert kinds["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels

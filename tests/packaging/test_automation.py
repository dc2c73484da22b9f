"""The workflows, hooks and templates around the repository: valid, pinned, and calling `make`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.repository import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def read(path: Path) -> dict[Any, Any]:
    """A YAML file whose top level is a mapping. The key ``on`` is True in YAML 1.1."""
    content: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    """The jobs of a workflow by their ids."""
    return dict(read(workflow)["jobs"])


def commands(workflow: Path) -> list[str]:
    """The shell commands of a workflow."""
    steps = [step for job in jobs(workflow).values() for step in job["steps"]]
    return [step["run"] for step in steps if "run" in step]


def make_targets() -> set[str]:
    """The targets of the Makefile that a person may call."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))


def python_versions() -> list[str]:
    """The Python versions that pyproject.toml claims support for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: 3."
    return [name.rpartition(" ")[2] for name in project["classifiers"] if name.startswith(prefix)]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_targets_of_the_makefile(workflow: Path) -> None:
    """Every step is an action or `make TARGET` with a target that exists."""
    commands = [
        step["run"] for job in jobs(workflow).values() for step in job["steps"] if "run" in step
    ]
    assert commands
    for command in commands:
        assert re.fullmatch(r"make [a-z-]+", command), command
        assert command.removeprefix("make ") in make_targets(), command


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name)
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    """Actions of others are named by commit, with the version as a comment."""
    used = re.findall(r"uses: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert used
    for action in used:
        if action.startswith("./"):
            assert (ROOT / action / "action.yml").is_file(), action
        else:
            assert PINNED.fullmatch(action), action


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_jobs_may_only_read_and_end(workflow: Path) -> None:
    """No job may write to the repository or keep its credentials, and each has a time limit."""
    assert read(workflow)["permissions"] == {}
    for name, job in jobs(workflow).items():
        assert job["permissions"] == {"contents": "read"}, name
        assert job["timeout-minutes"] <= 60, name
        checkout = job["steps"][0]
        assert checkout["uses"].startswith("actions/checkout@"), name
        assert checkout["with"]["persist-credentials"] is False, name


def test_tests_run_on_every_supported_python() -> None:
    """The matrix of the tests is the list of versions in pyproject.toml, the oldest one first."""
    matrix = jobs(GITHUB / "workflows" / "ci.yml")["test"]["strategy"]["matrix"]["python"]
    assert matrix == python_versions()
    default = read(GITHUB / "actions" / "python" / "action.yml")["inputs"]["version"]["default"]
    assert default == matrix[0]


def test_the_ci_script_and_the_workflow_run_the_same_targets() -> None:
    """Each target of `.ci/run` has a job and the reverse; `make coverage` has a job only."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    stages = set(re.findall(r"^stage make ([a-z-]+)", script, re.MULTILINE)) - {"install"}
    called = commands(GITHUB / "workflows" / "ci.yml")
    assert stages | {"coverage"} == {command.removeprefix("make ") for command in called}


def test_hooks_run_the_tools_of_the_environment() -> None:
    """Every pre-commit hook runs a tool of .venv, as `make check` does, and downloads nothing."""
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        tool = hook["entry"].removeprefix(".venv/bin/python -m ").split(" --")[0]
        assert f"$(RUN) -m {tool}" in makefile, tool


def test_dependabot_watches_what_it_can_update() -> None:
    """The directories that it is given exist."""
    updates = read(GITHUB / "dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} >= {"github-actions", "docker"}
    for update in updates:
        for directory in update.get("directories", [update.get("directory")]):
            assert (ROOT / directory.strip("/")).is_dir(), directory


@pytest.mark.parametrize("form", ["bug_report", "feature_request"])
def test_issue_forms_are_complete(form: str) -> None:
    """A form has a name and a description, and each field has an id and a label."""
    content = read(GITHUB / "ISSUE_TEMPLATE" / f"{form}.yml")
    assert content["name"]
    assert content["description"]
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert any(field.get("validations", {}).get("required") for field in fields)
    assert all(field["id"] and field["attributes"]["label"] for field in fields)

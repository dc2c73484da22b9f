"""The sources of the image: Dockerfile, .dockerignore, lock files and compose file."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.architecture.sources import tracked_files
from tests.support.repository import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-bench.lock")
TOOLS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
HADOLINT = shutil.which("hadolint", path=TOOLS)
COMPOSE = shutil.which("docker-compose", path=TOOLS)


def copied() -> list[str]:
    """The sources of the Dockerfile's COPY and ADD instructions."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    copied_sources = []
    for line in re.findall(r"^(?:COPY|ADD) (.*)$", text, re.MULTILINE):
        words = shlex.split(line)
        options = [word for word in words if word.startswith("--")]
        if not any(option.startswith("--from=") for option in options):
            copied_sources += words[len(options) : -1]
    return copied_sources


def is_included(file: PurePosixPath) -> bool:
    """Whether .dockerignore includes a file in the build context; the last match decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            exception = pattern.startswith("!")
            if _matches(file, pattern.removeprefix("!").strip("/")):
                ignored = not exception
    return not ignored


def _matches(file: PurePosixPath, pattern: str) -> bool:
    """Whether a pattern matches a path or one of its parents."""
    places = [str(place) for place in (file, *file.parents) if place.parts]
    if pattern.startswith("**/"):
        return any(fnmatchcase(Path(place).name, pattern[3:]) for place in places)
    return any(
        fnmatchcase(place, pattern) and place.count("/") == pattern.count("/") for place in places
    )


@pytest.mark.parametrize("source", copied())
def test_copied_files_are_in_the_build_context(source: str) -> None:
    """Every file that the Dockerfile copies is tracked by git and part of the build context."""
    tracked = [PurePosixPath(path.relative_to(ROOT)) for path in tracked_files()]
    files = [file for file in tracked if PurePosixPath(source) in (file, *file.parents)]
    assert files, f"{source} is not in git"
    assert [str(file) for file in files if not is_included(file)] == []


def test_the_build_context_has_no_other_files() -> None:
    """The build context has no tests, no history and no environment."""
    sources = {PurePosixPath(source) for source in copied()}
    sent = {PurePosixPath(path.relative_to(ROOT)) for path in tracked_files()}
    surplus = {file for file in sent if is_included(file) and not sources & {file, *file.parents}}
    assert surplus == set()
    for file in (".git/config", ".env", ".venv/bin/python", "model/__pycache__/state.pyc"):
        assert not is_included(PurePosixPath(file)), file


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_file_has_a_hash(lock: str) -> None:
    """Every locked package has a hash; torch has a lock file without hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) > 20
    for line in lines:
        assert re.match(r"[a-z0-9.-]+==\S+ ", line), line
        assert "--hash=sha256:" in line, line
        assert not line.startswith("torch=="), line


def test_torch_is_locked_within_its_bound() -> None:
    """The version in the lock file of torch satisfies the bound in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (required,) = (Requirement(d) for d in project["dependencies"] if d.startswith("torch"))
    locked = Requirement((ROOT / "requirements-torch.lock").read_text(encoding="utf-8").strip())
    (pin,) = locked.specifier
    assert (locked.name, pin.operator) == ("torch", "==")
    assert required.specifier.contains(pin.version)


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_hadolint_has_no_warning() -> None:
    """Hadolint has no warning about the Dockerfile; exceptions state their reason."""
    assert HADOLINT is not None
    ended = subprocess.run(
        [HADOLINT, "--failure-threshold", "warning", "Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def composed(directory: Path, *profiles: str, **environment: str) -> dict[str, Any]:
    """The services of the compose file with the given environment, parsed by compose."""
    assert COMPOSE is not None
    shutil.copy(ROOT / "docker-compose.yml", directory)
    ended = subprocess.run(
        [COMPOSE, *(f"--profile={profile}" for profile in profiles), "config", "--format", "json"],
        cwd=directory,
        env={"PATH": TOOLS, "HOME": str(directory), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    services: dict[str, Any] = json.loads(ended.stdout)["services"]
    return services


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed")
def test_compose_needs_no_setting(tmp_path: Path) -> None:
    """The compose file needs no environment variable and no password."""
    services = composed(tmp_path)
    assert set(services) == {"unroll", "prometheus", "grafana"}
    grafana = services["grafana"]["environment"]
    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert not any("PASSWORD" in name for name in grafana)


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed")
def test_compose_passes_settings_on(tmp_path: Path) -> None:
    """Settings of the shell and of .env reach the service, except its port."""
    (tmp_path / ".env").write_text("UNROLL_STATE_KEY=file\nUNROLL_MAX_ROWS=8\nUNROLL_PORT=9\n")
    environment = composed(tmp_path, UNROLL_API_KEYS="shell")["unroll"]["environment"]
    assert environment["UNROLL_STATE_KEY"] == "file"
    assert environment["UNROLL_MAX_ROWS"] == "8"
    assert environment["UNROLL_API_KEYS"] == "shell"
    assert environment["UNROLL_PORT"] == "8000"


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed")
def test_compose_accepts_images_by_digest(tmp_path: Path) -> None:
    """Every image can be given by its digest."""
    digest = "sha256:" + "0" * 64
    services = composed(
        tmp_path,
        BASE=f"python:3.11-slim@{digest}",
        PROMETHEUS_IMAGE=f"prom/prometheus:v3.1.0@{digest}",
        GRAFANA_IMAGE=f"grafana/grafana:11.4.0@{digest}",
    )
    assert services["unroll"]["build"]["args"]["BASE"].endswith(digest)
    assert services["prometheus"]["image"].endswith(digest)
    assert services["grafana"]["image"].endswith(digest)


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed")
def test_compose_starts_replicas_behind_a_balancer(tmp_path: Path) -> None:
    """The profile `replicas` adds copies of the service with one key and without a port of their
    own, and the balancer with its configuration and the only port.
    """
    (tmp_path / ".env").write_text("UNROLL_STATE_KEY=file\n")
    services = composed(tmp_path, "replicas", REPLICAS="3")
    replica, balancer = services["replica"], services["balancer"]
    assert replica["deploy"]["replicas"] == 3
    assert "ports" not in replica
    assert replica["environment"]["UNROLL_STATE_KEY"] == "file"
    assert replica["read_only"] is True
    assert replica["healthcheck"] == services["unroll"]["healthcheck"]
    (port,) = balancer["ports"]
    assert (port["host_ip"], port["published"]) == ("127.0.0.1", "8080")
    assert balancer["environment"]["UNROLL_BIND"] == f":{port['target']}"
    (mount,) = balancer["volumes"]
    assert Path(mount["source"]).relative_to(tmp_path) == Path("deploy/haproxy")
    assert set(balancer["depends_on"]) == {"replica"}


def test_haproxy_accepts_its_configuration() -> None:
    """The files in deploy/haproxy are valid, without a warning."""
    program = shutil.which("haproxy", path=os.pathsep.join([TOOLS, "/usr/sbin"]))
    if program is None:
        pytest.skip("haproxy is not installed")
    command = [program, "-c", "-f", str(ROOT / "deploy" / "haproxy")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "WARNING" not in ended.stderr + ended.stdout

"""The container engine that the image tests use: Docker where it runs, otherwise Podman.

Podman keeps its images and containers in a directory of its own, which is removed with everything
in it. Docker shares its daemon, so images and containers are removed by name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BUILD_SECONDS = 900
COMMAND_SECONDS = 120
PULL_SECONDS = 120
PODMAN_NEEDS = ("podman", "runc", "mmdebstrap")
MISSING = (
    "no container engine: start Docker, or as root on Debian install podman, runc, netavark and "
    "mmdebstrap"
)
# Root containers also start where limits are low, without systemd and without its cgroup manager.
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""


class EngineUnavailableError(Exception):
    """No container engine is usable; the message has the remedy."""


class Engine:
    """One container engine. Everything it makes is removed by ``remove_all``.

    Args:
        directory: an empty directory for what the engine keeps.
    """

    def __init__(self, directory: Path) -> None:
        self._environment = dict(os.environ)
        self._images: list[str] = []
        self._containers: list[str] = []
        self.is_docker = _docker_runs()
        if self.is_docker:
            self._command = ["docker"]
        elif os.getuid() == 0 and all(map(shutil.which, PODMAN_NEEDS)):
            configuration = directory / "containers.conf"
            configuration.write_text(CONTAINERS_CONF, encoding="utf-8")
            self._environment["CONTAINERS_CONF"] = str(configuration)
            roots = ("--root", str(directory / "root"), "--runroot", str(directory / "runroot"))
            self._command = ["podman", *roots]
        else:
            raise EngineUnavailableError(MISSING)
        working = self.run("info", check=False)
        if working.returncode != 0:
            raise EngineUnavailableError(f"{self._command[0]} does not work here: {working.stderr}")

    def run(
        self, *arguments: str, check: bool = True, seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command of the engine; its output is in the error when it fails."""
        answer = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and answer.returncode != 0:
            words = " ".join(arguments[:3])
            raise AssertionError(f"{words} ...:\n{answer.stdout[-8000:]}{answer.stderr[-8000:]}")
        return answer

    def pull(self, image: str) -> bool:
        """Whether the image could be had from a registry."""
        pulled = self.run("pull", "--quiet", image, check=False, seconds=PULL_SECONDS)
        return pulled.returncode == 0

    def load(self, archive: Path, image: str) -> None:
        """Makes an image from a root file system."""
        self.run("import", str(archive), image, seconds=BUILD_SECONDS)
        self._images.append(image)

    def build(self, context: Path, mounts: Sequence[Path] = ()) -> str:
        """The name of an image that is built as `docker build` would do it."""
        image = f"unroll-test-{uuid.uuid4().hex[:8]}"
        options = ["--network", "host", "--tag", image]
        if not self.is_docker:
            # Only the Docker format keeps HEALTHCHECK.
            options += ["--isolation", "chroot", "--format", "docker", "--layers=false"]
            options += [f"--volume={mount}:{mount}:ro" for mount in mounts]
        self._images.append(image)
        self.run("build", *options, str(context), seconds=BUILD_SECONDS)
        return image

    def start(
        self, image: str, *options: str, network: str = "none", command: Sequence[str] = ()
    ) -> str:
        """The name of a container that runs in the background. By default it has no network but
        loopback.
        """
        name = f"unroll-test-{uuid.uuid4().hex[:8]}"
        self._containers.append(name)
        options = ("--detach", "--name", name, "--network", network, *options)
        self.run("run", *options, image, *command)
        return name

    def inspect(self, container: str) -> dict[str, Any]:
        """The engine's description of a container."""
        stdout: list[dict[str, Any]] = json.loads(
            self.run("inspect", "--type", "container", container).stdout
        )
        return stdout[0]

    def is_healthy(self, container: str) -> bool:
        """Whether the image's HEALTHCHECK succeeds."""
        if self.is_docker:
            return str(self.inspect(container)["State"]["Health"]["Status"]) == "healthy"
        # Podman runs no health checks by itself where there is no systemd.
        return self.run("healthcheck", "run", container, check=False).returncode == 0

    def logs(self, container: str) -> str:
        """What the container has written."""
        written = self.run("logs", container)
        return written.stdout + written.stderr

    def remove_all(self) -> None:
        """Removes every container and image that was made, whatever happened before."""
        if self._containers:
            # The latest first: one may use the network of an earlier one.
            newest_first = reversed(self._containers)
            self.run("rm", "--force", "--volumes", *newest_first, check=False)
        if self._images:
            self.run("rmi", "--force", *self._images, check=False)
        if not self.is_docker:
            # Unmounts the layers, which a plain removal of the directory would stumble over.
            self.run("system", "reset", "--force", check=False)


def _docker_runs() -> bool:
    if shutil.which("docker") is None:
        return False
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0 and answer.stdout.strip() != ""

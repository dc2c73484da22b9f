"""A base image made of Debian packages, for machines that reach no image registry.

It holds what the Dockerfile asks of ``python:3.11-slim``: Debian with Python and pip. It takes over
the machine's package sources: apt's sources, pip's configuration and the certificates.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
APT_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
MAKE_SECONDS = 600


class BaseUnavailableError(Exception):
    """The base image cannot be made here; the message is that of mmdebstrap."""


def make_root_file_system(directory: Path) -> Path:
    """An archive of the base image's files; needs mmdebstrap and root on Debian."""
    archive = directory / "base.tar"
    configuration = directory / "pip.conf"
    configuration.write_text(_pip_configuration(), encoding="utf-8")
    uploads = {configuration: "/etc/pip.conf", CERTIFICATES: str(CERTIFICATES)}
    uploads |= {path: str(path) for path in _local_paths() if path.is_file()}
    hooks = [f'--customize-hook=mkdir -p "$1"{Path(there).parent}' for there in uploads.values()]
    hooks += [f"--customize-hook=upload {here} {there}" for here, there in uploads.items()]
    sources = [str(path) for path in APT_SOURCES if path.is_file()][:1]
    options = ("--quiet", "--variant=minbase", f"--include={PACKAGES}", *hooks)
    made = subprocess.run(
        ["mmdebstrap", *options, _debian_release(), str(archive), *sources],
        capture_output=True,
        text=True,
        check=False,
        timeout=MAKE_SECONDS,
    )
    if made.returncode != 0:
        raise BaseUnavailableError(f"no base image can be made: {made.stderr[-500:]}")
    return archive


def package_directories() -> list[Path]:
    """Directories that pip is configured to take packages from, for a build to mount."""
    return sorted({path for path in _local_paths() if path.is_dir()})


def _pip_settings() -> Iterator[tuple[str, str]]:
    """Pip's options, from its files and then from the environment, which wins."""
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    for line in sorted(answer.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        yield name.rpartition(".")[2], shlex.split(value)[0]


def _pip_configuration() -> str:
    lines = [f"{name} = {value}" for name, value in dict(_pip_settings()).items()]
    return "\n".join(["[global]", *lines, ""])


def _local_paths() -> set[Path]:
    """Every path that pip's options name."""
    words = [word for _, value in _pip_settings() for word in value.split()]
    paths = {Path(word.removeprefix("file://")) for word in words if _is_local(word)}
    # An index is a folder beside the files that it points to.
    return {path.parent if path.name == "simple" else path for path in paths} - {CERTIFICATES}


def _is_local(word: str) -> bool:
    return re.match(r"(file://)?/", word) is not None


def _debian_release() -> str:
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    match = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    if match is None:
        raise BaseUnavailableError("/etc/os-release names no VERSION_CODENAME")
    return match[1]

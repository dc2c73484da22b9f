"""The image and the container that all tests here look at.

``make image-test`` asks for them (UNROLL_IMAGE_TEST=1); ``make test`` leaves them out, because the
build takes minutes. Without a container engine they fail, or are skipped where CI=true.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests.image.container import Container
from tests.image.engine import Engine, EngineUnavailableError
from tests.image.stand_in_base import (
    BaseUnavailableError,
    make_root_file_system,
    package_directories,
)
from tests.support.repository import ROOT
from tests.support.service.small_artifacts import save_all

# As in the Dockerfile's first line; localhost is where an engine keeps what it did not pull.
BASE = "python:3.11-slim"
LOCKED_IN = (
    *("--read-only", "--tmpfs", "/tmp:size=16m,mode=1777", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--pids-limit", "256", "--memory", "2g"),
    *("--cpus", "1"),
)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A container engine; all that it makes is removed at the end."""
    if os.environ.get("UNROLL_IMAGE_TEST") != "1":
        pytest.skip("the image is built by `make image-test`")
    directory = tmp_path_factory.mktemp("engine")
    try:
        engine = Engine(directory)
    except EngineUnavailableError as error:
        _leave_out(error)
    try:
        yield engine
    finally:
        engine.remove_all()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True)
class Base:
    """The image that the Dockerfile begins with. ``mounts``: what pip needs in a build."""

    image: str
    mounts: Sequence[Path] = ()


@pytest.fixture(scope="session")
def base(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """The base image, from a registry or made here."""
    if engine.pull(BASE):
        return Base(BASE)
    try:
        archive = make_root_file_system(tmp_path_factory.mktemp("base"))
    except BaseUnavailableError as error:
        _leave_out(error)
    engine.load(archive, f"localhost/{BASE}")
    archive.unlink()
    return Base(f"localhost/{BASE}", package_directories())


@pytest.fixture(scope="session")
def image(engine: Engine, base: Base, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of HEAD, built from what git tracks and nothing else."""
    tree = _clean_copy(tmp_path_factory.mktemp("tree"))
    try:
        return engine.build(tree, base.mounts)
    finally:
        shutil.rmtree(tree)


@pytest.fixture(scope="session")
def container(engine: Engine, image: str) -> Container:
    """The image's service, ready, with everything taken from it that it can do without."""
    started = Container(engine, engine.start(image, *LOCKED_IN))
    started.wait_until_healthy()
    return started


@pytest.fixture(scope="session")
def mounted(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Container:
    """The service with a folder of models from outside, as docker-compose.yml mounts it."""
    models = tmp_path_factory.mktemp("models")
    save_all(models)
    make_readable(models)
    started = Container(engine, engine.start(image, *LOCKED_IN, "--volume", f"{models}:/models:ro"))
    started.wait_until_healthy()
    return started


def make_readable(directory: Path) -> None:
    """Every user may read the files in a directory."""
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _leave_out(error: Exception) -> NoReturn:
    """A test whose tool is missing fails for a person and is skipped in continuous integration."""
    if os.environ.get("CI") == "true":
        pytest.skip(str(error))
    pytest.exit(str(error), returncode=1)


def _clean_copy(directory: Path) -> Path:
    """The files of HEAD, as a fresh clone would have them."""
    archive = directory / "tree.tar"
    subprocess.run(["git", "archive", "--output", str(archive), "HEAD"], cwd=ROOT, check=True)
    subprocess.run(["tar", "--extract", "--file", str(archive)], cwd=directory, check=True)
    archive.unlink()
    return directory

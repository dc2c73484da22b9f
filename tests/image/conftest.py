"""The image and the container that all tests here look at.

``make image-test`` asks for them (UNROLL_IMAGE_TEST=1); ``make test`` leaves them out, because the
build takes minutes. Without a container engine they fail, or are skipped where CI=true.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
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


@pytest.fixture(scope="session")
def image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of HEAD, built from what git tracks and nothing else."""
    mounts: list[Path] = []
    if not engine.pull(BASE):
        try:
            archive = make_root_file_system(tmp_path_factory.mktemp("base"))
        except BaseUnavailableError as error:
            _leave_out(error)
        engine.load(archive, f"localhost/{BASE}")
        archive.unlink()
        mounts = package_directories()
    tree = _clean_copy(tmp_path_factory.mktemp("tree"))
    try:
        return engine.build(tree, mounts)
    finally:
        shutil.rmtree(tree)


@pytest.fixture(scope="session")
def container(engine: Engine, image: str) -> Container:
    """The image's service, ready, with everything taken from it that it can do without."""
    started = Container(engine, engine.start(image, *LOCKED_IN))
    started.wait_until_healthy()
    return started


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

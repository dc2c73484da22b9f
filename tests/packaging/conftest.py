"""The wheel and the sdist that ``make package`` has built, and an environment with the wheel.

Without UNROLL_DIST, the directory with both, tests that need them are skipped: the build compiles
the native kernel, which takes half a minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def dist() -> Path:
    """The directory with one wheel and one sdist."""
    directory = os.environ.get("UNROLL_DIST")
    if not directory:
        pytest.skip("`make package` builds the wheel and the sdist")
    return Path(directory)


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    """The only wheel in ``dist``."""
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def sdist(dist: Path) -> Path:
    """The only sdist in ``dist``."""
    (path,) = dist.glob("*.tar.gz")
    return path


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` directory of a new virtual environment in which only the wheel is installed.

    The dependencies are those of the environment that runs the tests: a ``.pth`` file adds its
    packages after the wheel's. A ``.pth`` file is not read recursively, so an editable installation
    of Unroll there has no effect.
    """
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory)
    binaries = directory / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(binaries / "python")]
    options = ["--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "install", *options, str(wheel)], check=True)
    (packages,) = directory.glob("lib/python*/site-packages")
    paths = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")
    return binaries

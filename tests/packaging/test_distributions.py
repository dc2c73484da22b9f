"""The wheel and the sdist: their files, and the wheel installed in an empty environment."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.architecture.sources import SHIPPED, tracked_files
from tests.support.repository import ROOT
from tests.support.service.process import PATIENCE, RunningService

LIBRARY = "service/kernel/native/lib/libunroll.so"
SOURCES = "service/kernel/native/csrc/"


def package_files() -> set[str]:
    """The tracked files of the shipped packages: code, type markers, templates, recipes, C++."""
    names = (path.relative_to(ROOT) for path in tracked_files())
    return {name.as_posix() for name in names if name.parts[0] in SHIPPED}


def run(command: list[str | Path], directory: Path) -> str:
    """The standard output of a command that succeeds."""
    completed = subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_wheel_holds_the_packages_their_data_and_the_library(wheel: Path) -> None:
    """The wheel holds every file of the packages but the C++ sources, and the compiled library."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {name for name in package_files() if not name.startswith(SOURCES)}
    assert names == expected | {LIBRARY}


def test_wheel_is_for_this_platform_and_any_python_3(wheel: Path) -> None:
    """The library depends on the platform; neither it nor the code depends on the interpreter."""
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")


def test_sdist_holds_what_builds_the_wheel(sdist: Path) -> None:
    """The sdist holds packages, C++ sources and documents, but neither tests nor weights."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert package_files() <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "setup.py"} <= names
    assert not any(name.startswith(("tests", "benchmarks", "pretrained")) for name in names)
    assert not any(name.endswith(".so") for name in names)


@pytest.mark.parametrize("package", SHIPPED)
def test_packages_are_imported_from_the_wheel(
    environment: Path, tmp_path: Path, package: str
) -> None:
    """Each package is importable, and comes from the environment, not from the checkout."""
    program = f"import {package}; print({package}.__file__)"
    printed = run([environment / "python", "-c", program], tmp_path)
    assert Path(printed.strip()).is_relative_to(environment.parent)


def test_native_kernel_is_loaded_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    """The compiled library is found and loaded."""
    program = "from service.kernel.native.library import load; load()"
    run([environment / "python", "-c", program], tmp_path)


def test_command_prints_the_version(environment: Path, wheel: Path, tmp_path: Path) -> None:
    """`unroll --version` prints the version in the wheel's name."""
    version = wheel.name.split("-")[1]
    assert run([environment / "unroll", "--version"], tmp_path) == f"unroll {version}\n"


def test_command_trains_and_evaluates(environment: Path, tmp_path: Path) -> None:
    """`unroll train lm` writes an artifact that `unroll evaluate` reads."""
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat.\nthe dog sat on the log.\n" * 200, encoding="utf-8")
    options = ["--tokenizer", "char", "--hidden", "8", "--embedding", "8", "--steps", "20"]
    data = ["--train", str(text), "--valid", str(text)]
    run([environment / "unroll", "train", "lm", *data, *options, "--out", "model"], tmp_path)
    printed = run([environment / "unroll", "evaluate", "model", "--data", text], tmp_path)
    assert "perplexity" in printed


def test_command_serves_the_pretrained_models(environment: Path) -> None:
    """`unroll serve` answers a request with the native kernel."""

    class InstalledService(RunningService):
        program = (str(environment / "unroll"), "serve")

    with InstalledService(ROOT / "pretrained", "--kernel", "native") as service:
        body = {"prompt": "The people of the United", "max_tokens": 1, "temperature": 0}
        answer = service.client.post("/generate", json=body, timeout=PATIENCE).json()
        assert answer["choices"][0]["text"] == " States", json.dumps(answer)

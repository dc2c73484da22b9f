"""The vectors of the native kernel, compiled for each instruction set of this processor."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.unit.service.kernel.native.test_library_instruction_sets import choose

COMPILER = os.environ.get("CXX") or shutil.which("g++") or "clang++"
SOURCES = ROOT / "service/kernel/native/csrc"
FLAGS = {
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mfma"],
    "avxvnni": ["-mavx2", "-mfma", "-mavxvnni"],
    "avx2": ["-mavx2", "-mfma"],
    "dotprod": ["-march=armv8.2-a+dotprod"],
    "plain": [],
}


needs_compiler = pytest.mark.skipif(
    shutil.which(COMPILER) is None, reason=f"{COMPILER} is not installed"
)


@needs_compiler
@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("program", ["vectors", "dot_product"])
def test_vectors_compute_what_single_numbers_do(
    program: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conversions, comparisons, shifts and dot products are exact in every lane."""
    choose(name, monkeypatch)
    run_program(program, ["-ffp-contract=off", "-Wno-psabi", *FLAGS[name]], tmp_path)


def run_program(name: str, options: Sequence[str], folder: Path) -> None:
    """Compiles a program beside this file in ``folder`` and runs it. It must return 0."""
    source = Path(__file__).with_name(f"{name}.cpp")
    target = folder / name
    command = [COMPILER, "-std=c++17", "-O2", *options, f"-I{SOURCES}", str(source)]
    subprocess.run([*command, "-o", str(target)], check=True)
    ran = subprocess.run([target], capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout

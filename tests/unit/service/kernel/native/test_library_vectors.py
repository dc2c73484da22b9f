"""The vectors of the native kernel, compiled for each instruction set of this processor."""

from __future__ import annotations

import os
import shutil
import subprocess
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


@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"{COMPILER} is not installed")
@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("program", ["vectors", "dot_product"])
def test_vectors_compute_what_single_numbers_do(
    program: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conversions, comparisons, shifts and dot products are exact in every lane."""
    choose(name, monkeypatch)
    target = tmp_path / program
    source = Path(__file__).with_name(f"{program}.cpp")
    options = ["-std=c++17", "-O2", "-ffp-contract=off", "-Wno-psabi", *FLAGS[name]]
    command = [COMPILER, *options, f"-I{SOURCES}", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    assert subprocess.run([target], check=False).returncode == 0

"""The vectors and the int8 dot product of arm64, cross-compiled and run by an emulator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.repository import ROOT

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
SOURCES = ROOT / "service/kernel/native/csrc"


@pytest.mark.skipif(
    shutil.which(COMPILER) is None or shutil.which(EMULATOR) is None,
    reason=f"{COMPILER} or {EMULATOR} is not installed",
)
@pytest.mark.parametrize("flags", [[], ["-march=armv8.2-a+dotprod"]], ids=["plain", "dotprod"])
@pytest.mark.parametrize("name", ["dot_product", "vectors"])
def test_vectors_of_arm64_are_exact(name: str, flags: list[str], tmp_path: Path) -> None:
    """Sums of products of any bytes, conversions and comparisons are those of single numbers."""
    program = tmp_path / name
    source = Path(__file__).with_name(f"{name}.cpp")
    subprocess.run(
        [
            *(COMPILER, "-std=c++17", "-O2", "-static", "-ffp-contract=off", "-Wno-psabi", *flags),
            *(f"-I{SOURCES}", str(source), "-o", str(program)),
        ],
        check=True,
    )
    assert subprocess.run([EMULATOR, str(program)], check=False).returncode == 0

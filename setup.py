"""Builds the native kernel, one object for each instruction set. Metadata: pyproject.toml.

Without a C++ compiler the package is installed without the library, and the service uses the torch
kernel. The library has a plain C interface: it needs no headers of Python or torch, and one wheel
fits every version of Python 3 on a platform.
"""

from __future__ import annotations

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

SOURCES = "service/kernel/native/csrc"
# Contraction off: a function must give the same bits wherever the compiler inlines it.
# -g0: Python's own flags ask for debug information, which makes the library four times as large.
FLAGS = [
    "-std=c++17",
    "-O3",
    "-g0",
    "-fPIC",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
    "-pthread",
]
SHARED_SOURCES = ["language_model.cpp", "classifier.cpp", "input_table.cpp"]
# The sets of each processor besides plain code. A compiler that does not know a set leaves it out.
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mfma"]
X86_SETS = {
    "amx": [*AVX512, "-mamx-tile", "-mamx-int8"],
    "avx512": AVX512,
    "avxvnni": ["-mavx2", "-mfma", "-mavxvnni"],
    "avx2": ["-mavx2", "-mfma"],
}
ARM_SETS = {"dotprod": ["-march=armv8.2-a+dotprod"]}


class BuildNative(build_ext):
    """Compiles steps.cpp once for each instruction set and links all objects into one library."""

    def get_ext_filename(self, ext_name: str) -> str:
        """The path of the library, without the suffix of a Python extension module."""
        return str(Path(*ext_name.split(".")).with_suffix(".so"))

    def copy_extensions_to_source(self) -> None:
        """Creates the directory of the library, which is not in git."""
        Path(SOURCES).with_name("lib").mkdir(exist_ok=True)
        super().copy_extensions_to_source()

    def build_extension(self, ext: Extension) -> None:
        """Builds the library; without a working compiler, warns and builds nothing."""
        more = os.environ.get("UNROLL_CXXFLAGS", "").split()
        try:
            target = Path(self.get_ext_fullpath(ext.name))
            target.unlink(missing_ok=True)  # a failed build leaves no older library behind
            known = []
            with ThreadPoolExecutor(os.cpu_count()) as pool:  # a set takes a minute with sanitizers
                required = [
                    pool.submit(self._compile_steps, "plain", more),
                    *(pool.submit(self._compile, [name], more) for name in SHARED_SOURCES),
                ]
                sets = {
                    name: pool.submit(self._compile_steps, name, [*flags, *more])
                    for name, flags in self._instruction_sets().items()
                }
            objects = [path for part in required for path in part.result()]
            for name, part in sets.items():
                try:
                    objects += part.result()
                except CCompilerError:
                    self.warn(f"the compiler does not know the instruction set {name}")
                else:
                    known.append(f"-DUNROLL_HAS_{name.upper()}")
            objects += self._compile(["api.cpp"], [*known, *more])
            target.parent.mkdir(parents=True, exist_ok=True)
            self.compiler.link_shared_object(
                objects, str(target), target_lang="c++", extra_postargs=["-pthread", *more]
            )
        except (CCompilerError, BaseError, OSError) as error:
            self.warn(
                f"the native kernel was not built ({error}): the service will use the slower "
                "torch kernel. Install a C++17 compiler (g++ or clang++) and install Unroll again."
            )

    def _compile_steps(self, name: str, flags: list[str]) -> list[str]:
        define = [f"-DUNROLL_STEPS=STEPS_{name.upper()}", f'-DUNROLL_STEPS_NAME="{name}"']
        return self._compile(["steps.cpp"], [*flags, *define], name)

    def _compile(self, names: list[str], flags: list[str], folder: str = "") -> list[str]:
        compiled: list[str] = self.compiler.compile(
            [f"{SOURCES}/{name}" for name in names],
            output_dir=str(Path(self.build_temp, folder)),
            extra_postargs=[*FLAGS, *flags],
        )
        return compiled

    @staticmethod
    def _instruction_sets() -> dict[str, list[str]]:
        machine = platform.machine().lower() if sys.maxsize > 2**32 else ""
        if machine in {"x86_64", "amd64"}:
            return X86_SETS
        return ARM_SETS if machine in {"aarch64", "arm64"} else {}


class PlatformWheel(bdist_wheel):
    """Tags the wheel for every Python 3 on this platform."""

    def get_tag(self) -> tuple[str, str, str]:
        """Interpreter, ABI and platform: the library depends on the platform alone."""
        return ("py3", "none", super().get_tag()[2])


setup(
    ext_modules=[
        Extension(
            "service.kernel.native.lib.libunroll",
            sources=[f"{SOURCES}/api.cpp"],
            depends=[str(path) for path in sorted(Path(SOURCES).glob("*.[hc]*"))],
            language="c++",
            optional=True,
        )
    ],
    cmdclass={"bdist_wheel": PlatformWheel, "build_ext": BuildNative},
)

"""The modules that importing a package loads in a fresh interpreter.

test_imports checks the import statements; this also finds indirect and dynamic imports.
"""

import subprocess
import sys

import pytest

from tests.support.repository import ROOT

LOADED = """
import importlib, pkgutil, sys
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print("\\n".join(sorted(sys.modules)))
"""


def stdout_of(program: str) -> list[str]:
    """The words that a program prints in a fresh interpreter."""
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return process.stdout.split()


def loaded_by(package: str) -> set[str]:
    """Top-level names of all loaded modules after every module of a package is imported."""
    return {name.split(".")[0] for name in stdout_of(LOADED.format(package=package))}


@pytest.mark.parametrize(
    ("package", "refused"),
    [
        ("model", {"training", "service", "fastapi", "pydantic"}),
        ("training", {"fastapi", "starlette", "uvicorn"}),
        ("service", {"training", "datasets"}),
        ("unroll", {"training", "service", "torch", "fastapi"}),
        ("unroll_client", {"model", "training", "service", "torch", "fastapi", "pydantic"}),
        ("service.engine", {"training", "fastapi", "starlette", "pydantic", "uvicorn", "torch"}),
        ("service.kernel.api", {"torch"}),
        ("service.kernel.native", {"torch"}),
        ("model.storage", {"torch"}),
    ],
)
def test_importing_a_package_loads_no_refused_package(package: str, refused: set[str]) -> None:
    """Importing all modules of a package does not load the refused packages."""
    assert loaded_by(package) & refused == set()


def test_training_loads_of_the_service_the_kernel_alone() -> None:
    """Bulk prediction computes with the kernel, and loads no other part of the service."""
    loaded = stdout_of(LOADED.format(package="training"))
    service = {name for name in loaded if name.startswith("service.")}
    assert all(name.startswith("service.kernel") for name in service), service


def test_the_supervisor_of_several_workers_is_small() -> None:
    """It stays beside the workers, so it loads neither tensors nor a web framework."""
    program = "import sys, service.supervisor.supervisor; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in stdout_of(program)}
    assert loaded & {"torch", "numpy", "fastapi", "starlette", "uvicorn", "tokenizers"} == set()


def test_the_service_does_not_load_the_sdk_of_traces() -> None:
    """Traces are off by default: the packages of the extra `otel` are loaded when they start."""
    program = "import sys, service.server; print(*sys.modules)"
    loaded = [name for name in stdout_of(program) if name.startswith("opentelemetry")]
    assert not [name for name in loaded if ".sdk" in name or ".exporter" in name]


SERVES = """
import sys
from service.app import create_app
from service.backend.settings import Settings
import service.server
create_app(Settings(models="pretrained", kernel="native"))
print(sorted(name for name in sys.modules if name.split(".")[0] in {"torch", "scipy"}))
"""


def test_the_app_with_its_models_loads_no_torch() -> None:
    """The native path, from the server's modules to the packed models, works without torch."""
    assert stdout_of(SERVES) == ["[]"]


LOADS = """
import sys
from pathlib import Path
from model.artifact import load_artifact
load_artifact(Path("pretrained/english-word"))
load_artifact(Path("pretrained/sentiment"))
print("torch._dynamo" in sys.modules)
"""


def test_loading_an_artifact_does_not_load_torchs_compiler() -> None:
    """torch._dynamo, which some initializers import, would add a second to every start."""
    assert stdout_of(LOADS) == ["False"]

"""The order of imports, checked for every import statement.

`routes -> backend -> engine -> kernel -> model <- training`.
"""

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.architecture.sources import (
    SHIPPED,
    modules_in,
    outside_imports,
    own_imports,
    sources,
    within,
)

# The parts of each package. A line imports from earlier lines only; parts in one line do not import
# each other.
ORDER: dict[str, tuple[str, ...]] = {
    "model": (
        "errors calibration ngrams regularization",
        "architecture system linear_ngrams",
        "tokenization manifest state output_layer",
        "units words memory",
        "model_card recurrent embeddings storage",
        "networks",
        "artifact inspection",
    ),
    "training": (
        "errors files",
        "config",
        "runtime",
        "readers",
        "data",
        "runs",
        "optimization",
        "evaluation analysis",
        "reports trainers prediction onnx_export",
        "commands",
        "__main__",
    ),
    "service": (
        "kernel playground",
        "engine",
        "inspection clients telemetry",
        "backend",
        "http",
        "protocol routes",
        "banner warm_up watchdog listening",
        "supervisor",
        "app",
        "server",
        "__main__",
    ),
    "service.kernel": ("api", "documents pytorch", "native", "factory numpy_network", "self_test"),
    "service.engine": ("api", "constraints scheduling", "states", "sequences", "runners"),
    "unroll": ("cli", "__main__"),
    "unroll_client": (
        "errors results",
        "decoding event_lines options retrying",
        "calls resuming",
        "client",
        "async_client",
    ),
    "benchmarks": (
        "harness roofline peers",
        "measurements",
        "reports",
        "commands replicas",
        "__main__",
    ),
}

# For each package, the other modules of the project that it may import.
GRANTED: dict[str, tuple[str, ...]] = {
    "model": (),
    # `predict` computes with the kernel of the service, which imports the model alone.
    "training": ("model", "service.kernel"),
    # The console command runs both; it imports the package that a command needs, and no other.
    "unroll": ("model.system.standard_streams", "training.commands.cli", "service.__main__"),
    # Programs of users install it alone.
    "unroll_client": (),
    "service.kernel": ("model",),
    "service.engine": ("service.kernel", "model"),
    "service.inspection": ("service.kernel", "service.engine.api.errors", "model"),
    # Keys and rates of clients; a refusal is an error of the engine, which counts it.
    "service.clients": ("service.engine.api.errors",),
    # A default of the settings depends on the machine. A file of keys has the same bound on rates.
    "service.backend.settings": ("model.system.cpu_quota", "service.clients.key_file"),
    "service.telemetry": (),
    "service.http.schemas": (),
    # A field of /generate has the form of the OpenAI protocol.
    "service.http.request_schemas": ("service.http.openai.logit_bias",),
    # The only module that maps the engine's errors to statuses.
    "service.http.errors": ("service.engine.api.errors",),
    "service.protocol": ("service.http.errors",),
    # Implements the observer interface of the engine.
    "service.backend.metrics": (
        "service.engine.api.observer",
        "service.engine.api.tasks",
        "service.telemetry.histogram",
    ),
    # The kernels, and the runner of constrained text, are also measured without the service. The
    # empty routes of FastAPI validate and answer with the models of the service.
    "benchmarks": (
        "model",
        "service.engine",
        "service.kernel",
        "service.http.request_schemas",
        "service.http.schemas",
    ),
}

WEB = {"fastapi", "starlette", "pydantic", "pydantic_settings", "uvicorn", "prometheus_client"}
CLOCKS = {"time", "datetime", "random"}

# For each package, the packages outside the project that it must not import.
REFUSED: dict[str, set[str]] = {
    "model": {*WEB, "asyncio", "datasets", "pickle"},
    "training": {*WEB, "asyncio", "pickle"},
    "training.config": {"torch", "numpy"},
    "unroll_client": {*WEB, "torch", "numpy", "pickle"},
    "service": {"datasets", "pickle"},
    "service.kernel": {*WEB, "asyncio"},
    "service.engine": {*WEB, "asyncio", "torch"},
    # torch is loaded for its own kernel and for inspections only; test_runtime follows the imports.
    "service.kernel.api": {"torch"},
    "service.kernel.documents": {"torch"},
    "service.kernel.native": {"torch"},
    "service.kernel.factory": {"torch"},
    "service.inspection.queries": {"torch"},
    "model.storage": {"torch"},
    "service.inspection": {*WEB, "asyncio"},
    "service.clients": {*WEB, "asyncio", "torch"},
    "service.engine.scheduling.scheduler": {*WEB, *CLOCKS, "asyncio", "torch", "numpy"},
    "service.protocol": {"fastapi", "pydantic", "torch", "threading"},
    "service.routes": {"torch", "threading"},
    "service.http.schemas": {"torch", "threading", "asyncio"},
    "service.http.request_schemas": {"torch", "threading", "asyncio"},
}


def violations(package: str, allowed: Iterable[str]) -> list[str]:
    """The imports of a package that are not allowed, as `importer -> imported`."""
    return [
        f"{source.name} -> {name}"
        for source in modules_in(package)
        for name in sorted(own_imports(source))
        if not any(within(name, other) for other in (package, *allowed))
    ]


def place(name: str, package: str) -> str:
    """The part of a package that contains a module; empty for the package's `__init__`."""
    return name.removeprefix(package).removeprefix(".").split(".")[0]


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_from_earlier_lines_of_the_table_only(package: str) -> None:
    """Every module is in the table and imports from earlier lines only."""
    rank = {part: line for line, parts in enumerate(ORDER[package]) for part in parts.split()}
    modules = [source for source in modules_in(package) if place(source.name, package)]
    assert {place(source.name, package) for source in modules} == set(rank)
    wrong_order = [
        f"{source.name} -> {name}"
        for source in modules
        for name in sorted(own_imports(source))
        if within(name, package) and name != package
        if (here := place(source.name, package)) != (there := place(name, package))
        if rank[there] >= rank[here]
    ]
    assert wrong_order == []


@pytest.mark.parametrize("package", GRANTED)
def test_packages_import_only_granted_modules(package: str) -> None:
    """Of the project, a package imports only itself and its modules in the table."""
    assert violations(package, GRANTED[package]) == []


@pytest.mark.parametrize("package", REFUSED)
def test_packages_import_no_refused_packages(package: str) -> None:
    """Web frameworks, threads, clocks and pickle are not imported where they are refused."""
    refused = {
        f"{source.name} imports {name}"
        for source in modules_in(package)
        for name in outside_imports(source) & REFUSED[package]
    }
    assert refused == set()


def test_routes_reach_the_engine_through_the_backend() -> None:
    """Of engine and kernel, routes import only the data classes of tasks and events.

    Of the model they import the markings, which are functions of a text alone.
    """
    granted = (
        "service.engine.api.tasks",
        "service.kernel.api.interface",
        "model.units.markings",
    )
    direct = [
        f"{source.name} -> {name}"
        for source in modules_in("service.routes")
        for name in own_imports(source)
        if within_any([name], "service.engine", "service.kernel", "model") and name not in granted
    ]
    assert direct == []


def test_there_is_no_cycle() -> None:
    """The import graph of all modules has a topological order."""
    graph = {name: own_imports(source) - {name} for name, source in sources().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_training_and_service_do_not_import_each_other() -> None:
    """Training imports the kernel for predictions alone; service does not import training."""
    crossing = {
        f"{source.name} -> {name}"
        for package, other in (("training", "service"), ("service", "training"))
        for source in modules_in(package)
        for name in own_imports(source)
        if within(name, other)
    }
    # Bulk prediction has the speed and the results of the service by using its kernel.
    assert crossing == {
        "training.prediction.predictors -> service.kernel.api.interface",
        "training.prediction.predictors -> service.kernel.factory",
    }


def test_shipped_packages_import_neither_tests_nor_benchmarks() -> None:
    """Installed packages import no package that is not installed."""
    crossing = [
        f"{source.name} -> {name}"
        for package in SHIPPED
        for source in modules_in(package)
        for name in own_imports(source)
        if within_any([name], "tests", "benchmarks")
    ]
    assert crossing == []


def test_only_the_async_engine_uses_both_thread_and_event_loop() -> None:
    """No other module of the service imports both the engine and asyncio."""
    both = [
        source.name
        for source in modules_in("service")
        if "service.engine.runners.engine" in own_imports(source)
        and "asyncio" in outside_imports(source)
        and source.name != "service.backend.async_engine"
    ]
    assert both == []


def within_any(names: Iterable[str], *packages: str) -> bool:
    """Whether one of the names is in one of the packages."""
    return any(within(name, package) for name in names for package in packages)

"""The order of imports: which package imports which, checked over every import statement.

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

# Each package from the bottom to the top: a line imports only from the lines above it, and what
# stands side by side in a line does not import each other.
ORDER: dict[str, tuple[str, ...]] = {
    "model": (
        "errors calibration ngrams regularization",
        "architecture system linear_ngrams",
        "tokenization manifest state output_layer",
        "model_card recurrent embeddings",
        "networks",
        "artifact inspection",
    ),
    "training": (
        "errors naming whole_numbers files",
        "config",
        "runtime",
        "readers",
        "data",
        "runs",
        "optimization",
        "evaluation analysis",
        "reports trainers",
        "commands",
        "__main__",
    ),
    "service": (
        "kernel playground",
        "engine",
        "inspection",
        "backend",
        "http",
        "protocol routes",
        "banner warm_up",
        "app",
        "server",
        "__main__",
    ),
    "service.kernel": ("api", "pytorch", "native", "factory"),
    "service.engine": ("api", "scheduling", "states", "sequences", "runners"),
    "benchmarks": (
        "harness roofline peers",
        "measurements",
        "reports",
        "commands",
        "__main__",
    ),
}

# For each package, what it may import of this project besides itself.
GRANTED: dict[str, tuple[str, ...]] = {
    "model": (),
    "training": ("model",),
    "service.kernel": ("model",),
    "service.engine": ("service.kernel", "model"),
    "service.inspection": ("service.kernel", "service.engine.api.errors", "model"),
    # Settings have a default that depends on the machine.
    "service.backend.settings": ("model.system.cpu_quota",),
    "service.http.schemas": (),
    "service.http.request_schemas": (),
    # The one place where the engine's errors become statuses.
    "service.http.errors": ("service.engine.api.errors",),
    "service.protocol": ("service.http.errors",),
    # Counts what the engine reports, through the interface that the engine defines.
    "service.backend.metrics": ("service.engine.api.observer", "service.engine.api.tasks"),
    # The kernels are also measured alone, without the service around them.
    "benchmarks": ("model", "service.kernel"),
}

WEB = {"fastapi", "starlette", "pydantic", "pydantic_settings", "uvicorn", "prometheus_client"}
CLOCKS = {"time", "datetime", "random"}

# For each package, what it does not import from outside the project.
REFUSED: dict[str, set[str]] = {
    "model": {*WEB, "asyncio", "datasets", "pickle"},
    "training": {*WEB, "asyncio", "pickle"},
    "training.config": {"torch", "numpy"},
    "service": {"datasets", "pickle"},
    "service.kernel": {*WEB, "asyncio"},
    "service.engine": {*WEB, "asyncio"},
    "service.inspection": {*WEB, "asyncio"},
    "service.engine.scheduling.scheduler": {*WEB, *CLOCKS, "asyncio", "torch", "numpy"},
    "service.protocol": {"fastapi", "pydantic", "torch", "threading"},
    "service.routes": {"torch", "threading"},
    "service.http.schemas": {"torch", "threading", "asyncio"},
    "service.http.request_schemas": {"torch", "threading", "asyncio"},
}


def violations(package: str, allowed: Iterable[str]) -> list[str]:
    """The imports of a package that are not granted, as `importer -> imported`."""
    return [
        f"{source.name} -> {name}"
        for source in modules_in(package)
        for name in sorted(own_imports(source))
        if not any(within(name, other) for other in (package, *allowed))
    ]


def place(name: str, package: str) -> str:
    """The part of a package that a module belongs to; empty for the package's own file."""
    return name.removeprefix(package).removeprefix(".").split(".")[0]


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_what_stands_above_it_in_the_table(package: str) -> None:
    """Every module stands in the table and imports only from earlier lines."""
    rank = {part: line for line, parts in enumerate(ORDER[package]) for part in parts.split()}
    modules = [source for source in modules_in(package) if place(source.name, package)]
    assert {place(source.name, package) for source in modules} == set(rank)
    against = [
        f"{source.name} -> {name}"
        for source in modules
        for name in sorted(own_imports(source))
        if within(name, package) and name != package
        if (here := place(source.name, package)) != (there := place(name, package))
        if rank[there] >= rank[here]
    ]
    assert against == []


@pytest.mark.parametrize("package", GRANTED)
def test_packages_import_only_what_they_are_granted(package: str) -> None:
    """A package imports itself and what the table grants it, and nothing else of the project."""
    assert violations(package, GRANTED[package]) == []


@pytest.mark.parametrize("package", REFUSED)
def test_packages_import_nothing_that_is_refused(package: str) -> None:
    """Web frameworks, threads, clocks and pickle stay out of the packages that do not need them."""
    refused = {
        f"{source.name} imports {name}"
        for source in modules_in(package)
        for name in outside_imports(source) & REFUSED[package]
    }
    assert refused == set()


def test_routes_reach_the_engine_through_the_backend() -> None:
    """Of engine and kernel, a route imports only the data classes of tasks and events."""
    granted = ("service.engine.api.tasks", "service.kernel.api.interface")
    direct = [
        f"{source.name} -> {name}"
        for source in modules_in("service.routes")
        for name in own_imports(source)
        if within_any([name], "service.engine", "service.kernel", "model") and name not in granted
    ]
    assert direct == []


def test_there_is_no_cycle() -> None:
    """Modules can be put in an order in which each imports only what stands before it."""
    graph = {name: own_imports(source) - {name} for name, source in sources().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_training_and_service_do_not_import_each_other() -> None:
    """Nothing of service is imported by training, and nothing of training by service."""
    crossing = [
        f"{source.name} -> {name}"
        for package, other in (("training", "service"), ("service", "training"))
        for source in modules_in(package)
        for name in own_imports(source)
        if within(name, other)
    ]
    assert crossing == []


def test_shipped_packages_import_neither_tests_nor_benchmarks() -> None:
    """What is installed imports nothing of what is not."""
    crossing = [
        f"{source.name} -> {name}"
        for package in SHIPPED
        for source in modules_in(package)
        for name in own_imports(source)
        if within_any([name], "tests", "benchmarks")
    ]
    assert crossing == []


def test_only_the_async_engine_knows_both_thread_and_event_loop() -> None:
    """No other file of the service imports both the engine and asyncio."""
    both = [
        source.name
        for source in modules_in("service")
        if "service.engine.runners.engine" in own_imports(source)
        and "asyncio" in outside_imports(source)
        and source.name != "service.backend.async_engine"
    ]
    assert both == []


def within_any(names: Iterable[str], *packages: str) -> bool:
    """Whether one of the names lies in one of the packages."""
    return any(within(name, package) for name in names for package in packages)

"""The arrows of the design, checked over every import statement of the tree.

`routes -> bridge -> engine -> kernel -> model <- training`; an arrow may skip rooms only where the
table says so. `settings`, `schemas`, `errors` and `metrics` are leaves of service. What stands
beside them in service (who may ask, how bodies are read, how events are written) serves the routes;
`app` and what starts it stand above all and are imported by nobody.
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

ABOVE_ALL = ("service.__main__", "service.server", "service.app", "service.warm_up")
LEAVES = (
    "service.settings",
    "service.schemas",
    "service.request_schemas",
    "service.errors",
    "service.metrics",
)

# For each room, what it may import of this project besides itself.
ARROWS: dict[str, tuple[str, ...]] = {
    "model": (),
    "training": ("model",),
    "service.kernel": ("model",),
    "service.engine": ("service.kernel", "model"),
    # Long texts are encoded by workers; what answers may take in memory is counted in a ledger.
    "service.bridge": (
        "service.engine",
        "service.errors",
        "service.ledger",
        "service.workers",
        "model",
    ),
    # A default depends on the machine; the function is training's, too, and imports nothing.
    "service.settings": ("model.cpu_quota",),
    "service.protocol": ("service.errors",),
    "service.schemas": (),
    "service.request_schemas": (),
    # The one place where the engine's errors become statuses.
    "service.errors": ("service.engine.errors",),
    # Keeps the engine's books, through the protocol that the engine states.
    "service.metrics": ("service.engine.observer", "service.engine.tasks"),
    # The kernels are also measured alone, without the service around them.
    "benchmarks": ("model", "service.kernel"),
}

WEB = {"fastapi", "starlette", "pydantic", "pydantic_settings", "uvicorn", "prometheus_client"}

# For each room, what it may not take from outside.
REFUSED: dict[str, set[str]] = {
    "model": {*WEB, "asyncio", "datasets", "pickle"},
    "training": {*WEB, "asyncio", "pickle"},
    "service": {"datasets", "pickle"},
    "service.kernel": {*WEB, "asyncio"},
    "service.engine": {*WEB, "asyncio"},
    "service.engine.scheduler": {*WEB, "asyncio", "torch", "numpy", "time", "datetime", "random"},
    "service.protocol": {"fastapi", "pydantic", "torch", "threading"},
    "service.routes": {"torch", "threading"},
    "service.schemas": {"torch", "threading", "asyncio"},
    "service.request_schemas": {"torch", "threading", "asyncio"},
}


def strays(room: str, allowed: Iterable[str]) -> list[str]:
    """The imports of a room that no arrow covers, as `importer -> imported`."""
    return [
        f"{source.name} -> {name}"
        for source in modules_in(room)
        for name in sorted(own_imports(source))
        if not any(within(name, other) for other in (room, *allowed))
    ]


@pytest.mark.parametrize("room", ARROWS)
def test_rooms_import_only_along_the_arrows(room: str) -> None:
    """A room imports itself and what the table grants it, and nothing else of the project."""
    assert strays(room, ARROWS[room]) == []


@pytest.mark.parametrize("room", REFUSED)
def test_rooms_keep_foreign_packages_out(room: str) -> None:
    """What is another room's trade (web, threads, clocks, pickles) stays out of this one."""
    found = {
        f"{source.name} imports {name}"
        for source in modules_in(room)
        for name in outside_imports(source) & REFUSED[room]
    }
    assert found == set()


def test_routes_reach_the_engine_by_the_bridge_alone() -> None:
    """Of engine and kernel, a route imports the plain data that tasks and events are made of."""
    granted = ("service.engine.tasks", "service.kernel.interface")
    stray = [
        f"{source.name} -> {name}"
        for source in modules_in("service.routes")
        for name in own_imports(source)
        if within_any([name], "service.engine", "service.kernel", "model") and name not in granted
    ]
    assert stray == []


def test_what_puts_things_together_is_imported_by_nobody() -> None:
    """`app` and what starts it are the roof: only they themselves import them."""
    stray = [
        f"{source.name} -> {name}"
        for source in modules_in("service")
        for name in own_imports(source)
        if name in ABOVE_ALL and source.name not in ABOVE_ALL
    ]
    assert stray == []


def test_there_is_no_cycle() -> None:
    """Modules can be put in an order in which each imports only what stands before it."""
    graph = {name: own_imports(source) - {name} for name, source in sources().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_training_and_service_never_meet() -> None:
    """Nothing of service is imported by training, and nothing of training by service."""
    met = [
        f"{source.name} -> {name}"
        for room, other in (("training", "service"), ("service", "training"))
        for source in modules_in(room)
        for name in own_imports(source)
        if within(name, other)
    ]
    assert met == []


def test_shipped_rooms_need_neither_tests_nor_benchmarks() -> None:
    """What is installed imports nothing of what is not."""
    stray = [
        f"{source.name} -> {name}"
        for room in SHIPPED
        for source in modules_in(room)
        for name in own_imports(source)
        if within(name, "tests") or within(name, "benchmarks")
    ]
    assert stray == []


def test_only_the_bridge_knows_both_thread_and_event_loop() -> None:
    """Outside the bridge, a file that imports both the engine and asyncio is a second bridge."""
    both = [
        source.name
        for source in modules_in("service")
        if "service.engine.engine" in own_imports(source)
        and "asyncio" in outside_imports(source)
        and source.name != "service.bridge"
    ]
    assert both == []


def within_any(names: Iterable[str], *packages: str) -> bool:
    """Whether one of the names lies in one of the packages."""
    return any(within(name, package) for name in names for package in packages)

"""Names and docstrings of classes and modules, over all packages."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.architecture.sources import SHIPPED, Source, modules_in, sources, within

# Public classes that several shipped modules define, and why.
SHARED_NAMES: dict[str, str] = {}

SHORTEST_MODULE = 40  # lines
# Shorter modules, and why they are not part of another one.
SHORT_MODULES = {
    "benchmarks.commands.kernel": "each benchmark command is a module",
    "benchmarks.harness.presets": "shared by measurements, commands and reports",
    "service.backend.siblings": "keeps the routes apart from the supervisor",
    "service.clients.token_bucket": "arithmetic without clients, locks and clocks",
    "service.engine.runners.kernel_calls": "shared by the runner's turns and its estimates",
    "service.http.log_lines": "used before the application exists",
    "service.http.openai.logit_bias": "shared by /generate and /v1/completions",
    "service.inspection.cancellation": "shared by all of inspection and by its queue",
    "service.routes.admin": "each route is a module",
    "service.routes.docs": "each route is a module",
    "service.routes.error_responses": "shared by all routes",
    "service.routes.openai.error_responses": "shared by all routes below /v1",
    "service.routes.openai.models": "each route is a module",
    "service.routes.playground": "each route is a module",
    "service.kernel.api.aligned": "shared by the packing and the native kernel",
    "service.warm_up": "used by the application after loading",
    "training.__main__": "the entry point of `python -m training`",
    "training.analysis.race.recall_task": "the task, used by the race and its report",
    "training.commands.errors": "shared by all commands",
    "training.commands.train_classifier": "each command is a module",
    "training.commands.train_language_model": "each command is a module",
    "training.files": "shared by data, runs and reports",
    "training.runtime.threads": "shared by all commands",
    "training.runtime.torchrun": "used by the command line without torch",
    "training.trainers.language_model_lines": "wording; the trainer that shows it is long",
    "unroll.__main__": "the entry point of `python -m unroll`",
}


def compared_modules() -> Iterator[Source]:
    """The modules of shipped packages and of the benchmarks, without the benchmarks' peers."""
    for package in (*SHIPPED, "benchmarks"):
        for source in modules_in(package):
            if not within(source.name, "benchmarks.peers"):
                yield source


def docstrings(source: Source) -> Iterator[str]:
    """The docstrings of a module, its classes and its functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(source.tree):
        if isinstance(node, kinds) and (docstring := ast.get_docstring(node)):
            yield docstring


def test_a_public_class_name_has_one_definition() -> None:
    """No two modules define a public class of the same name."""
    modules: dict[str, list[str]] = defaultdict(list)
    for source in compared_modules():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(source.name)
    duplicates = {name: where for name, where in modules.items() if len(where) > 1}
    assert duplicates.keys() == SHARED_NAMES.keys(), duplicates


def test_docstrings_do_not_list_what_a_module_does_not_know() -> None:
    """No docstring repeats in a formula the packages that a module does not import."""
    formulas = ("Knows no", "Knows neither")
    violations = [
        source.name
        for source in sources().values()
        if any(formula in text for text in docstrings(source) for formula in formulas)
    ]
    assert violations == []


def test_short_modules_have_a_reason() -> None:
    """A module under 40 lines is part of another one, unless the table has a reason."""
    short = {
        source.name
        for package in (*SHIPPED, "benchmarks")
        for source in modules_in(package)
        if source.path.name != "__init__.py" and source.lines < SHORTEST_MODULE
    }
    assert short == SHORT_MODULES.keys()

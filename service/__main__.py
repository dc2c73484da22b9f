"""``python -m service``: read the options from the command line and UNROLL_* variables, then serve.

The server's modules are imported late. A lack of memory or file descriptors is then reported in one
line, and an early signal is obeyed.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.system.standard_streams import run_command

if TYPE_CHECKING:
    from service.backend.settings import Settings

EXIT_BAD_OPTIONS = 2
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
MIN_DESCRIPTORS = 64
MIN_ADDRESS_SPACE = 2**28  # bytes; the modules alone take 160 MB of it, and 75 MB of memory

logger = logging.getLogger(__name__)


def main(arguments: list[str], *, program: str = "python -m service") -> int:
    """Run the command and return its exit status. Errors are printed in one line without a
    traceback. Help and errors show ``program`` as the command.
    """
    # NumPy multiplies small matrices only, and its threads would each take a buffer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # until the server has started: imports and models leave no garbage worth a search
    try:
        _check_process()
        settings = _settings(arguments, program)
        return EXIT_BAD_OPTIONS if settings is None else _serve(settings, arguments)
    except (ImportError, MemoryError, OSError, RuntimeError) as error:
        # The system lacks memory, threads, file descriptors or a library.
        print(f"unroll: cannot start: {_describe(error)}", file=sys.stderr)
        logger.debug("the failure in full", exc_info=error)
        return EXIT_FAILED
    finally:
        gc.enable()


def _check_process() -> None:
    """Raises RuntimeError if the process lacks resources without which a library would crash."""
    granted, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= granted < MIN_DESCRIPTORS:
        raise RuntimeError(
            f"the process may open only {granted} files; it needs at least {MIN_DESCRIPTORS}, "
            "and one more for each connection: raise the limit with ulimit -n"
        )
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 <= space < MIN_ADDRESS_SPACE:
        raise RuntimeError(
            f"the process may use only {space >> 20} MB of memory; it needs at least "
            f"{MIN_ADDRESS_SPACE >> 20} MB, and more for large models: raise the limit with "
            "ulimit -v"
        )
    try:
        Path.cwd()
    except OSError as error:
        raise RuntimeError(
            "the working directory does not exist: start in another directory"
        ) from error


def _settings(arguments: list[str], program: str) -> Settings | None:
    """The settings; None if an option is invalid, after printing the error."""
    from pydantic import ValidationError  # noqa: PLC0415
    from pydantic_settings import CliApp, CliSettingsSource  # noqa: PLC0415

    from service.backend.settings import Settings  # noqa: PLC0415

    try:
        source = CliSettingsSource[Any](Settings, cli_prog_name=program)
        return CliApp.run(Settings, cli_args=arguments, cli_settings_source=source)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else "options"
            option = f"--{name.replace('_', '-')} (or UNROLL_{name.upper()})"
            print(f"unroll: {option}: {problem['msg']}", file=sys.stderr)
        print(f"unroll: {program} --help lists the options", file=sys.stderr)
        return None


def _serve(settings: Settings, arguments: list[str]) -> int:
    from service.http.log_lines import LineFormatter  # noqa: PLC0415
    from service.telemetry.log_format import JsonFormatter  # noqa: PLC0415

    _quicken_logging()
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else LineFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.root.level))

    from service.supervisor.launch import inherited  # noqa: PLC0415

    inheritance = inherited()
    if settings.workers > 1 and inheritance is None:
        return _supervise(settings, arguments)

    from service.backend.early_loading import start_loading  # noqa: PLC0415
    from service.backend.registry import RegistryError  # noqa: PLC0415
    from service.engine.api.errors import StartError  # noqa: PLC0415

    models = start_loading(settings.models)
    from service.listening import BindError  # noqa: PLC0415
    from service.server import serve  # noqa: PLC0415
    from service.supervisor.worker import WorkerProcess  # noqa: PLC0415
    from service.telemetry.tracing import TracingError  # noqa: PLC0415

    try:
        serve(settings, models, None if inheritance is None else WorkerProcess(inheritance))
    except (BindError, RegistryError, StartError, TracingError) as error:
        if inheritance is None or inheritance.slot == 0:  # the others fail for the same reason
            print(f"unroll: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _quicken_logging() -> None:
    """Leave out of log records what no line shows; finding it takes longer than writing a line."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # documented: no search for the caller


def _supervise(settings: Settings, arguments: list[str]) -> int:
    from service.listening import BindError  # noqa: PLC0415
    from service.supervisor.launch import command_of  # noqa: PLC0415
    from service.supervisor.supervisor import supervise  # noqa: PLC0415

    try:
        return supervise(settings, command_of(arguments))
    except BindError as error:
        print(f"unroll: {error}", file=sys.stderr)
        return EXIT_FAILED


def _describe(error: Exception) -> str:
    """A one-line description of an error, with the file if there is one."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, OSError) and error.strerror:
        prefix = f"{error.filename}: " if error.filename else ""
        return f"{prefix}{error.strerror}"
    lines = str(error).split("\n")
    return next(filter(str.strip, lines), type(error).__name__)


def exit_on_signals() -> None:
    """Let SIGTERM and SIGINT end the process, and ignore SIGHUP, until the server installs its own
    handlers.

    The first process of a container ignores SIGTERM otherwise. There is nothing to clean up yet,
    and a library that is being imported could swallow an exception.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(EXIT_INTERRUPTED))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # all models are about to be loaded


if __name__ == "__main__":
    exit_on_signals()
    sys.exit(run_command(lambda: main(sys.argv[1:])))

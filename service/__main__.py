"""``python -m service``: options from the command line and UNROLL_* variables, then serve.

What serves is imported late: a machine without memory or file descriptors for it is then told of in
a sentence, and a signal that comes before is obeyed.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model.system.standard_streams import run_command

if TYPE_CHECKING:
    from service.backend.settings import Settings

BAD_OPTIONS = 2
FAILED = 1
INTERRUPTED = 130
FEWEST_DESCRIPTORS = 64

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """The exit status; what is wrong is said in a sentence, without a trace."""
    try:
        _check_process()
        settings = _settings(arguments)
        return BAD_OPTIONS if settings is None else _serve(settings)
    except (ImportError, MemoryError, OSError, RuntimeError) as error:
        # The machine does not give what is needed: memory, threads, file descriptors, a library.
        print(f"unroll: cannot start: {_in_words(error)}", file=sys.stderr)
        logger.debug("the failure in full", exc_info=error)
        return FAILED


def _check_process() -> None:
    """Raises RuntimeError where the process lacks what some library would not fail politely for."""
    granted, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= granted < FEWEST_DESCRIPTORS:
        raise RuntimeError(
            f"only {granted} files may be open at once; {FEWEST_DESCRIPTORS} are needed at least, "
            "and one more for each connection: raise the limit with ulimit -n"
        )
    try:
        Path.cwd()
    except OSError as error:
        raise RuntimeError("the working directory does not exist: start in another one") from error


def _settings(arguments: list[str]) -> Settings | None:
    """The options; None where one is wrong, which has then been said."""
    from pydantic import ValidationError  # noqa: PLC0415
    from pydantic_settings import CliApp  # noqa: PLC0415

    from service.backend.settings import Settings  # noqa: PLC0415

    try:
        return CliApp.run(Settings, cli_args=arguments)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else "options"
            option = f"--{name.replace('_', '-')} (or UNROLL_{name.upper()})"
            print(f"unroll: {option}: {problem['msg']}", file=sys.stderr)
        print("unroll: python -m service --help lists the options", file=sys.stderr)
        return None


def _serve(settings: Settings) -> int:
    from service.http.log_lines import LineFormatter  # noqa: PLC0415

    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.root.level))

    from service.backend.registry import RegistryError  # noqa: PLC0415
    from service.engine.api.errors import StartError  # noqa: PLC0415
    from service.server import BindError, serve  # noqa: PLC0415

    try:
        serve(settings)
    except (BindError, RegistryError, StartError) as error:
        print(f"unroll: {error}", file=sys.stderr)
        return FAILED
    return 0


def _in_words(error: Exception) -> str:
    """One line, which names the file where there is one."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    lines = str(error).split("\n")
    return next(filter(str.strip, lines), type(error).__name__)


def _obey_signals() -> None:
    """Lets SIGTERM and SIGINT end the process until the server takes them over.

    The first process of a container ignores SIGTERM otherwise. Nothing has to be tidied up yet, and
    an exception could get lost in a library that is being loaded.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


if __name__ == "__main__":
    _obey_signals()
    sys.exit(run_command(lambda: main(sys.argv[1:])))

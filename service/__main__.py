"""``python -m service``: options from the command line and UNROLL_* variables, then serve."""

from __future__ import annotations

import logging
import sys

from pydantic import ValidationError
from pydantic_settings import CliApp

from service.catalog import CatalogError
from service.engine.errors import StartError
from service.server import BindError, serve
from service.settings import Settings


def main(arguments: list[str]) -> int:
    """The exit status; what is wrong is said in a sentence, without a trace."""
    try:
        settings = CliApp.run(Settings, cli_args=arguments)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else "options"
            option = f"--{name.replace('_', '-')} (or UNROLL_{name.upper()})"
            print(f"unroll: {option}: {problem['msg']}", file=sys.stderr)
        print("unroll: python -m service --help lists the options", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.root.level))
    try:
        serve(settings)
    except (BindError, CatalogError, StartError) as error:
        print(f"unroll: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

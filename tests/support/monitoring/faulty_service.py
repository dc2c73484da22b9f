"""The service with faults that files switch on, since no client can cause them.

The variable FAULTS names a directory. A file in it is a fault for as long as it exists:

    hang       the step loop blocks in a step
    fail       every step raises
    no-rows    the scheduler gives no sequence a row
    no-model   at the start: the process serves no model
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from service import app
from service.__main__ import main
from service.backend.registry import ModelRegistry
from service.engine.runners.language_model import LanguageModelRunner
from service.kernel.api.interface import RowResult
from service.kernel.native.kernel import NativeKernel

FAULTS = Path(os.environ.get("FAULTS", ""))
_run, _assign_rows = NativeKernel.run, LanguageModelRunner._assign_rows


def is_on(fault: str) -> bool:
    """Whether the fault is switched on."""
    return (FAULTS / fault).exists()


def run(kernel: NativeKernel, *arguments: Any, **options: Any) -> list[RowResult]:
    """Steps that hang or fail."""
    while is_on("hang"):
        time.sleep(0.02)
    if is_on("fail"):
        raise FloatingPointError("a fault of the test")
    return _run(kernel, *arguments, **options)


def assign_rows(runner: LanguageModelRunner, *arguments: Any) -> bool:
    """No rows."""
    return False if is_on("no-rows") else _assign_rows(runner, *arguments)


if __name__ == "__main__":
    with ExitStack() as patches:
        patches.enter_context(patch.object(NativeKernel, "run", run))
        patches.enter_context(patch.object(LanguageModelRunner, "_assign_rows", assign_rows))
        if is_on("no-model") and hasattr(app, "load_registry"):
            empty = ModelRegistry({}, {})
            patches.enter_context(patch.object(app, "load_registry", lambda _: empty))
            patches.enter_context(patch.object(app, "restrict_registry", lambda *_: empty))
        sys.exit(main(sys.argv[1:]))

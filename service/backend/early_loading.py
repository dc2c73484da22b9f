"""Loads the models in a thread while the modules of the server are imported.

Reading, digests and tokenizers take about as long as FastAPI's import and need the interpreter for
a part of the time only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from service.backend.registry import ModelRegistry, load_registry
from service.backend.settings import Settings


def start_loading(settings: Settings) -> Callable[[], ModelRegistry]:
    """Starts to load the models. The returned function waits for them and raises what loading
    raised. Raises RuntimeError if the system provides no thread.
    """
    future: Future[ModelRegistry] = Future()

    def load() -> None:
        try:
            future.set_result(load_registry(settings))
        except BaseException as error:  # noqa: BLE001 - raised where the models are needed
            future.set_exception(error)

    threading.Thread(target=load, name="models", daemon=True).start()
    return future.result

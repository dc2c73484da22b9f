"""What can go wrong in the engine. Knows no HTTP: service/http/errors.py maps these to statuses.

    EngineError
    ├── UnknownModel        no model of that name
    ├── WrongKind           the model cannot do this task (a classifier asked to generate)
    ├── InvalidTask         a field of the task cannot be served; ``field`` names it
    ├── InvalidState        the state that was brought is damaged or not of this service's making
    ├── ForeignState        it is whole, but of another model or another version
    ├── QueueFull           no place in the waiting queue; come back in ``retry_after_seconds``
    ├── Draining            the engine takes no new work
    ├── DeadlineExceeded    the deadline passed before there was a result
    └── StepFailed          an internal failure; the log has the cause

The first seven are raised by ``Engine.submit``; the last three (Draining when the engine is
stopped under a running task) reach the client in a ``Failed`` event.
"""

# The names say what happened, as HTTP's own do.
# ruff: noqa: N818

from __future__ import annotations


class StartError(RuntimeError):
    """The engine cannot start: the system gives it no thread or no memory."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            f"the engine cannot start: {cause}; raise the limits of the process (ulimit -u for "
            "threads, or the container's pids and memory limits), or lower --threads or --max-rows"
        )


class EngineError(Exception):
    """Anything the engine refuses or fails at. ``str()`` is a sentence for the client."""


class UnknownModel(EngineError):
    """No model of that name is being served."""

    def __init__(self, model: str) -> None:
        super().__init__(f"no model is named {model!r}")
        self.model = model


class WrongKind(EngineError):
    """The model exists but cannot do the task."""

    def __init__(self, model: str, kind: str, needed: str) -> None:
        super().__init__(f"model {model!r} is a {kind}; this needs a {needed}")
        self.model = model
        self.kind = kind
        self.needed = needed


class InvalidTask(EngineError):
    """A field of the task has a value that cannot be served."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class InvalidState(EngineError):
    """The state that was brought cannot be trusted."""

    def __init__(self) -> None:
        super().__init__(
            "state: it is damaged, cut off, or was not given out by this service; "
            "send it exactly as it was returned"
        )


class ForeignState(EngineError):
    """The state that was brought is genuine and does not fit."""

    def __init__(self, why: str) -> None:
        super().__init__(f"state: {why}")


class QueueFull(EngineError):
    """The waiting queue has no place. ``retry_after_seconds`` is estimated from measured speed."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(
            f"the waiting queue is full; try again in {retry_after_seconds:.1f} seconds"
        )
        self.retry_after_seconds = retry_after_seconds


class Draining(EngineError):
    """The engine is shutting down and takes no new work."""

    def __init__(self) -> None:
        super().__init__("the service is shutting down and takes no new work")


class DeadlineExceeded(EngineError):
    """The deadline passed before there was a result."""

    def __init__(self) -> None:
        super().__init__("the deadline passed before there was a result")


class StepFailed(EngineError):
    """A step of the model failed; only the sequences in it are affected."""

    def __init__(self) -> None:
        super().__init__("the model failed while working on this request; the log has the cause")


class SlowReaderError(EngineError):
    """The client reads so slowly that its events fill the buffer kept for it."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the stream was read too slowly: more than {limit} bytes were waiting and were dropped"
        )

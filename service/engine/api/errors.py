"""The errors of the engine. service/http/errors.py maps them to HTTP statuses.

    StartError              the engine cannot start: no threads or no memory
    EngineError
    ├── UnknownModel        no model has that name
    ├── WrongKind           the model cannot do this task (generation by a classifier)
    ├── InvalidTask         a field of the task is out of range; ``field`` names it
    │   └── InvalidConstraint   a regular expression or choices that cannot be used
    ├── ConstraintsUnavailable  regular expressions cannot be compiled here
    ├── InvalidState        the state token is damaged or was not made by this service
    ├── ForeignState        the state token belongs to another model or format version
    ├── Overloaded          retry after ``retry_after_seconds``
    │   ├── QueueFull       the waiting queue is full
    │   ├── RateLimited     the client has used its rate of requests or tokens
    │   ├── ConstraintMemoryFull    constraints of open requests use the memory for them
    │   └── ConcurrencyLimited  the client has as many open requests as it may
    ├── Draining            the engine takes no new work
    ├── DeadlineExceeded    the deadline passed before there was a result
    │   └── DeadlineUnreachable it would; raised by ``Engine.submit``
    ├── InspectionUnavailable   the model can be used, but not inspected
    ├── StepFailed          an internal failure; the log has the cause
    ├── EngineStalled       the step loop no longer moves; the process is about to end
    └── SlowReaderError     the client did not read its events

``Engine.submit`` raises those down to Draining. ``Failed`` events carry the last three. They also
carry Draining when the engine stops during a task.
"""

# Names without the suffix Error follow the names of HTTP statuses.
# ruff: noqa: N818

from __future__ import annotations


class StartError(RuntimeError):
    """The engine cannot start: the system provides no thread or no memory."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            f"the engine cannot start: {cause}; raise the limits of the process (ulimit -u for "
            "threads, or the container's pids and memory limits), or lower --threads or --max-rows"
        )


class EngineError(Exception):
    """A refusal or failure of the engine. ``str()`` is a message for the client."""


class UnknownModel(EngineError):
    """No served model has that name."""

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
    """A field of the task is out of range."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class InvalidConstraint(InvalidTask):
    """A regular expression or choices cannot constrain the text of this model."""


class ConstraintsUnavailable(EngineError):
    """Regular expressions cannot be compiled on this machine."""

    def __init__(self, why: str) -> None:
        super().__init__(f"regular expressions are not available: {why}")


class InvalidState(EngineError):
    """The state token is damaged or was not made by this service."""

    def __init__(self) -> None:
        super().__init__(
            "state: the token is damaged, truncated, or was not issued by this service; "
            "send it exactly as it was returned"
        )


class ForeignState(EngineError):
    """The state token is genuine but belongs to another model or format version."""

    def __init__(self, why: str) -> None:
        super().__init__(f"state: {why}")


class Overloaded(EngineError):
    """The task is refused for now; the same one may be accepted after ``retry_after_seconds``."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(f"{message}; try again in {retry_after_seconds:.1f} seconds")
        self.retry_after_seconds = retry_after_seconds


class QueueFull(Overloaded):
    """The waiting queue is full. ``retry_after_seconds`` is estimated from the measured
    throughput.
    """

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("the waiting queue is full", retry_after_seconds)


class ConstraintMemoryFull(Overloaded):
    """The constraints of open requests use the memory that there is for them."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(
            "the constraints of open requests use all memory for them", retry_after_seconds
        )


class RateLimited(Overloaded):
    """The client has used its rate. ``retry_after_seconds`` is exact."""

    def __init__(self, rate: float, unit: str, retry_after_seconds: float) -> None:
        super().__init__(
            f"this client may use {rate:g} {unit} a second and has used them", retry_after_seconds
        )


class ConcurrencyLimited(Overloaded):
    """The client has as many open requests as it may. ``retry_after_seconds`` is estimated from
    them.
    """

    def __init__(self, most: int, retry_after_seconds: float) -> None:
        super().__init__(
            f"this client may have {most} requests at a time and has them", retry_after_seconds
        )


class Draining(EngineError):
    """The engine is shutting down and takes no new work."""

    def __init__(self) -> None:
        super().__init__("the service is shutting down and takes no new work")


class DeadlineExceeded(EngineError):
    """The deadline passed before there was a result."""

    def __init__(self) -> None:
        super().__init__("the deadline passed before there was a result")


class DeadlineUnreachable(DeadlineExceeded):
    """The queue is so long that there would be no result within the deadline."""

    def __init__(self, wait_seconds: float) -> None:
        EngineError.__init__(
            self,
            f"the deadline cannot be met: requests of this client wait {wait_seconds:.1f} seconds",
        )


class InspectionUnavailable(EngineError):
    """A model cannot be inspected: torch or the model's weights cannot be loaded."""

    def __init__(self, why: str) -> None:
        super().__init__(f"inspections are not available: {why}")


class StepFailed(EngineError):
    """A step of the model failed. Only the requests in it are affected."""

    def __init__(self) -> None:
        super().__init__("the model failed while working on this request; the log has the cause")


class EngineStalled(EngineError):
    """The step loop no longer moves, and the process is about to end."""

    def __init__(self) -> None:
        super().__init__("the model no longer answers and the service restarts; try again")


class SlowReaderError(EngineError):
    """The client reads so slowly that its buffer was full for too long."""

    def __init__(self, limit: int, seconds: float) -> None:
        super().__init__(
            f"the stream was read too slowly: more than {limit} bytes were unread for {seconds:g} "
            "seconds and were dropped"
        )

"""One thread that serves all models: drain the inbox, step every runner, deliver the events.

Knows no HTTP and no asyncio. ``submit`` and ``cancel`` may be called from any thread; events
come back through the ``deliver`` function given to the constructor, called in the engine's
thread once per turn with everything that happened in it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.engine.observer import Observer
from service.engine.tasks import Event, Task

if TYPE_CHECKING:
    from model.artifact import Artifact

Ticket = Hashable
Deliver = Callable[[list[tuple[Ticket, Event]]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Limits of the engine. Sequences are choices, scored texts and next-word searches.

    ``rows``: sequences that run at the same time, per language model. ``waiting``: sequences
    that may wait for a row, per language model, and texts that may wait, per classifier.
    ``threads``: of the matrix products. ``burst_steps``: steps per turn, at most.
    ``prompt_tokens``: the longest prompt or scored text. ``classifier_tokens``: longer texts
    are cut (``Classification.truncated``). ``classifier_batch_tokens``: tokens, padding
    included, in one slice of classification work between two steps.
    """

    rows: int = 64
    waiting: int = 256
    threads: int = 2
    burst_steps: int = 1
    prompt_tokens: int = 100_000
    classifier_tokens: int = 4096
    classifier_batch_tokens: int = 2048


class Engine:
    """Serves loaded artifacts, by name, until it is stopped."""

    def __init__(
        self,
        models: Mapping[str, Artifact],
        deliver: Deliver,
        *,
        options: EngineOptions = EngineOptions(),
        observer: Observer | None = None,
    ) -> None:
        """Packs the weights. ``deliver`` must be quick and must not raise."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts the thread. Once."""
        raise NotImplementedError

    def submit(self, task: Task, ticket: Ticket) -> None:
        """Takes a task, or refuses it at once; thread-safe.

        ``ticket`` is the caller's name for the task, any hashable value not in use; events
        carry it. Tokenises in this thread, so call it off the event loop if texts are long.
        Raises UnknownModel, WrongKind, InvalidTask, QueueFull, Draining. When it returns, the
        task will get exactly one final event, unless it is cancelled first.
        """
        raise NotImplementedError

    def cancel(self, ticket: Ticket) -> None:
        """Frees everything the task holds before the next step; thread-safe.

        No event follows except those of the turn that is being delivered. An unknown or
        finished ticket is ignored.
        """
        raise NotImplementedError

    def drain(self) -> None:
        """Refuses new tasks from now on; those taken go on to their end. Thread-safe."""
        raise NotImplementedError

    def stop(self, timeout: float) -> bool:
        """Drains, waits up to ``timeout`` seconds, then ends the thread.

        What is left after that gets ``Failed(Draining())``. True if nothing was left.
        """
        raise NotImplementedError

    @property
    def draining(self) -> bool:
        """Whether new tasks are refused."""
        raise NotImplementedError

    def heartbeat_age(self) -> float:
        """Seconds since the loop last moved. While the thread is well it stays under a second
        or the length of the longest step; also while idle.
        """
        raise NotImplementedError

"""The other processes of a service that has several.

A request reaches one of them. What is asked of the whole service goes through this interface, which
``service/supervisor`` implements; a service of one process has no siblings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.backend.model_updates import UpdateReport


class Siblings(Protocol):
    """The whole service, as seen from one of its processes."""

    def check_live(self) -> None:
        """Raises ApiError 503 if nothing replaces processes that end or hang."""

    def check_ready(self) -> None:
        """Raises ApiError 503 unless every process accepts new work."""

    async def exposition(self) -> bytes:
        """The metrics of all processes as those of one, in the Prometheus text format."""

    async def reload(self) -> UpdateReport:
        """Compare the folder of models with the served ones in every process."""


@dataclass(slots=True)
class ServiceProcesses:
    """``siblings`` is set by the server if this process is one of several."""

    siblings: Siblings | None = None

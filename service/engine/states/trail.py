"""The recent past of a choice: its tokens, and a few states from which they can be read again.

A text that is cut while a part of it is withheld is continued from a state before that part. To
copy the state before each token would allow one token a call, so it is copied from time to time.
Copies that are no longer needed are dropped.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from service.kernel.api.row_state import RowState

WAYPOINT_TOKENS = 32  # between two copies of the state


class PriorState(NamedTuple):
    """The state of a sequence before a token, and the token that it reads next."""

    state: RowState
    last: int


class Shown(NamedTuple):
    """How much the client has: characters, and tokens that were reported with log-probabilities
    (without them, all tokens).
    """

    characters: int
    tokens: int


class Waypoint(NamedTuple):
    """A state in the past of a choice.

    ``tokens`` and ``characters``: of the trail before it. ``pending``: bytes of an incomplete
    character there.
    """

    prior: PriorState
    pending: bytes
    tokens: int = 0
    characters: int = 0


class Trail:
    """The tokens of a choice after its prompt, in order."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.characters = 0
        self._waypoints: deque[Waypoint] = deque()

    def add(self, token: int, text: str) -> None:
        """Add a token with the text that it completes."""
        self.tokens.append(token)
        self.characters += len(text)

    @property
    def due(self) -> bool:
        """Whether the state should be copied again."""
        return bool(
            self._waypoints and len(self.tokens) - self._waypoints[-1].tokens >= WAYPOINT_TOKENS
        )

    def mark(self, prior: PriorState, pending: bytes, shown: Shown) -> None:
        """Add a waypoint at the end of the trail, and drop those that are no longer needed."""
        self._waypoints.append(Waypoint(prior, pending, len(self.tokens), self.characters))
        while len(self._waypoints) > 1 and _is_before(self._waypoints[1], shown):
            self._waypoints.popleft()

    def latest(self, shown: Shown) -> Waypoint | None:
        """The last waypoint after which everything that was not shown comes."""
        before = [waypoint for waypoint in self._waypoints if _is_before(waypoint, shown)]
        return before[-1] if before else None


def _is_before(waypoint: Waypoint, shown: Shown) -> bool:
    return waypoint.characters <= shown.characters and waypoint.tokens <= shown.tokens

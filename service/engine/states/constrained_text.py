"""Where a choice stands inside its constraint.

The state after each token is kept, since a text may be cut some tokens before its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.engine.api.errors import InvalidConstraint, InvalidState
from service.engine.api.tasks import Constraint
from service.kernel.api.token_automaton import TokenAutomaton


class ConstraintPosition(NamedTuple):
    """A state of the automaton with this digest."""

    digest: bytes
    state: int


def first_state(
    constraint: Constraint, automaton: TokenAutomaton, position: ConstraintPosition | None
) -> int:
    """The state in which a text begins, or goes on if ``position`` is that of a resumed one.

    Raises InvalidConstraint if the text stands inside another constraint.
    """
    if position is None:
        return 0
    if position.digest != automaton.digest:
        raise InvalidConstraint(
            constraint.field,
            "the text of the state stands inside another constraint: send the one of the request "
            "that returned the state, or a prompt, after which this one begins",
        )
    if position.state >= automaton.states:
        raise InvalidState
    return position.state


class ConstrainedText:
    """The states of a text: ``first`` is that before its first token. Without an automaton it has
    none.

    ``replayed``: tokens that were generated earlier and come first. ``counted``: whether they are
    among the tokens that :meth:`position` counts.
    """

    def __init__(
        self,
        automaton: TokenAutomaton | None,
        first: int,
        replayed: Sequence[int],
        *,
        counted: bool,
    ) -> None:
        self.automaton = automaton
        self._states = [first]
        self.add(replayed)
        if not counted:
            self._states = self._states[-1:]

    @property
    def state(self) -> int:
        """The state at the end."""
        return self._states[-1]

    def add(self, tokens: Sequence[int]) -> None:
        """Add tokens that the constraint allows."""
        if self.automaton is not None:
            for token in tokens:
                self._states.append(self.automaton.after(self.state, [token]))

    def position(self, tokens: int) -> ConstraintPosition | None:
        """The position after this many tokens."""
        if self.automaton is None:
            return None
        return ConstraintPosition(self.automaton.digest, self._states[tokens])

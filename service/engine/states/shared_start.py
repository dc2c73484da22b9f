"""The common start of the choices of one Generate task."""

from __future__ import annotations

from service.engine.api.tasks import Generate
from service.engine.states.constrained_text import ConstrainedText, first_state
from service.engine.states.prompt_reader import CachedPrompt
from service.engine.states.state_token import Snapshot, StateTokenCodec
from service.kernel.api.token_automaton import TokenAutomaton


class OpenChoices:
    """The number of unfinished choices of a task."""

    def __init__(self, count: int) -> None:
        self._count = count

    def close(self) -> bool:
        """Count one choice as finished. Returns whether it was the last."""
        self._count -= 1
        return self._count == 0


class SharedStart:
    """The common start of the choices of one prompt. ``opened``: of all prompts of the task.

    ``resumed``: the decoded state token of the client. ``prompt``: the prompt that the first choice
    reads. The other choices wait for the state before its last token, unless the prompt is scored
    (``scores``), which each choice does for itself. ``replayed``: tokens at the end of ``prompt``
    that were generated earlier and whose text was not shown, because of a stop string or because
    the service was drained; without a new prompt their text comes first. ``constraint``: that of
    the task, compiled. ``keeps_states``: text may be withheld, so states are kept from which a cut
    text can be continued.
    """

    def __init__(
        self,
        task: Generate,
        prompt: CachedPrompt,
        codec: StateTokenCodec,
        resumed: Snapshot | None,
        opened: OpenChoices,
        constraint: TokenAutomaton | None = None,
    ) -> None:
        self.task = task
        self.prompt = prompt
        self.codec = codec
        self.resumed = resumed
        self.replayed = () if resumed is None or task.prompt else resumed.unread
        self.scores = task.logprobs is not None and (task.echo or bool(self.replayed))
        self.keeps_states = withholds(task)
        self.opened = opened
        self._constraint = constraint
        continued = resumed is not None and not task.prompt
        self._position = resumed.constraint if resumed is not None and continued else None

    def constrained(self) -> ConstrainedText:
        """The start of a choice's text inside the constraint of the task. Raises
        InvalidConstraint, InvalidState.
        """
        task, automaton, first = self.task, self._constraint, 0
        if automaton is not None and task.constraint is not None:
            first = first_state(task.constraint, automaton, self._position)
        searched = self.resumed is not None and self.resumed.reported is not None
        return ConstrainedText(automaton, first, self.replayed, counted=searched)

    def token(self, snapshot: Snapshot) -> str:
        """The state token of a choice."""
        return self.codec.encode(snapshot, self.task.tenant)


def withholds(task: Generate) -> bool:
    """Whether a token of the task may be generated long before its text is shown."""
    return bool(task.stop) or task.logprobs is not None

"""What one choice of a Generate task keeps, and the states from which a client can continue it.

The state fits the text that the client has: a text may be cut where a stop string begins, or while
the end of it is withheld.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.tokenization.tokenizer import Tokenizer
from service.engine.api.tasks import FinishReason
from service.engine.scheduling.sequence import RowSequence
from service.engine.sequences.stop_strings import StopMatcher
from service.engine.sequences.withheld_tokens import WithheldTokens
from service.engine.states.prompt_reader import CachedPrompt
from service.engine.states.shared_start import SharedStart
from service.engine.states.state_token import Snapshot
from service.engine.states.trail import PriorState, Shown, Trail
from service.kernel.api.interface import Sampling, Scored
from service.kernel.api.row_state import RowState


class ResumableChoice(RowSequence):
    """Choice ``index``. ``pieces``: the prompt's token ids and texts. ``sampling``: has the index
    of its random numbers, which differs from ``index`` where another choice is continued.

    ``prompt`` is the shared one for the first choice.
    """

    def __init__(
        self,
        shared: SharedStart,
        sampling: Sampling,
        tokenizer: Tokenizer,
        pieces: Sequence[tuple[int, str]],
        prompt: CachedPrompt,
        index: int = 0,
    ) -> None:
        super().__init__()
        self._index = index
        self._task = shared.task
        self._shared = shared
        self._sampling = sampling
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._prompt = prompt
        follows = prompt is not shared.prompt and not shared.scores
        self._waits = follows and len(prompt.tokens) > 1
        self._prompt_scores: list[Scored] = []
        self._seen = {token for token, _ in pieces} | set(shared.replayed)
        self._position = 0  # of the first sampled token
        pending = b""
        if shared.resumed is not None:
            self._seen |= shared.resumed.seen
            self._position = shared.resumed.position
            if not self._task.prompt:  # a prompt in between leaves no character to complete
                pending = shared.resumed.pending
        self._trail = Trail()
        self._last = prompt.tokens[0]
        self._decoder = tokenizer.decoder(pending)
        self._matcher = StopMatcher(self._task.stop)
        self._logs = self._task.logprobs is not None
        self._ends = self._logs and self._task.end  # whether P([END]) is reported
        self._end_logprob: float | None = None  # in the place of the token of the current call
        self._rewinds = self._task.return_state and bool(self._task.stop)
        self._tracks = self._logs or self._rewinds  # whether text is attributed to tokens
        self._is_plain = not (self._tracks or self._task.stop)  # whether text is only passed on
        self._before: PriorState | None = None  # before the token of the current call
        self._withheld = WithheldTokens()
        self._shown: tuple[int, RowState] | None = None  # tokens read, and the state after them
        self._first: RowState | None = None  # before the prompt, if a state is returned

    def _snapshot(self, reason: FinishReason, pending: bytes) -> Snapshot:
        if not self._prompt.done:
            return self._before_prompt()
        if reason == "stop":
            return self._before_cut()
        return self._at_end(pending, ended=reason == "end")

    def _at_end(self, pending: bytes, *, ended: bool = False) -> Snapshot:
        """After all tokens; ``ended``: with [END] after them."""
        snapshot = self._at(PriorState(self.state, self._tokenizer.end if ended else self._last))
        return replace(snapshot, pending=pending, position=snapshot.position + ended)

    def _at(self, prior: PriorState) -> Snapshot:
        """A snapshot with this state that samples on after the generated tokens."""
        return Snapshot(
            state=prior.state,
            last=prior.last,
            position=self._position + self.generated,
            seed=self._sampling.seed,
            choice_index=self._sampling.choice_index,
            seen=frozenset(self._seen),
        )

    @property
    def _shown_so_far(self) -> Shown:
        """What was sent of the trail. With logprobs, a token is sent as a whole."""
        tokens = len(self._trail.tokens)
        if not self._logs:
            return Shown(self._trail.characters - self._matcher.held, tokens)
        return Shown(
            self._trail.characters - self._withheld.characters, tokens - len(self._withheld.tokens)
        )

    def _drained(self) -> Snapshot:
        """After the shown text; tokens that were not shown are ``unread``."""
        shown = self._shown_so_far
        if shown == (self._trail.characters, len(self._trail.tokens)):
            return self._at_end(self._decoder.pending)
        return self._since_waypoint(shown, shown.tokens if self._logs else 0)

    def _since_waypoint(self, shown: Shown, reported: int | None) -> Snapshot:
        """The state of the last waypoint before the end of the shown text, and the tokens after
        it as ``unread``. ``reported``: as in the snapshot, from the beginning of the trail.
        """
        waypoint = self._trail.latest(shown)
        assert waypoint is not None, "a waypoint precedes all withheld text"
        return replace(
            self._at(waypoint.prior),
            pending=waypoint.pending,
            unread=tuple(self._trail.tokens[waypoint.tokens :]),
            shown=shown.characters - waypoint.characters,
            reported=None if reported is None else max(0, reported - waypoint.tokens),
        )

    def _before_cut(self) -> Snapshot:
        """The state after the shown text: before the tokens that a stop string cut, which the
        snapshot holds as ``unread``.
        """
        cut = self._withheld.tokens
        before = cut[0].before
        if before is None:  # it was generated before the service was drained
            withheld = self._withheld.characters - self._withheld.shown
            shown = Shown(self._trail.characters - withheld, len(self._trail.tokens) - len(cut))
            return self._since_waypoint(shown, None)
        return replace(
            self._at(before),
            seen=frozenset(self._seen - {generated.token for generated in cut if generated.is_new}),
            pending=cut[0].pending,
            unread=tuple(generated.token for generated in cut),
            shown=self._withheld.shown,
        )

    def _before_prompt(self) -> Snapshot:
        """The state at the start, for a deadline that passes before the prompt is read. The same
        prompt with this state gives the whole answer.
        """
        if self._shared.resumed is not None:
            sampling = self._sampling
            return replace(
                self._shared.resumed, seed=sampling.seed, choice_index=sampling.choice_index
            )
        assert self._first is not None, "a state is returned"
        return replace(self._at(PriorState(self._first, self._tokenizer.end)), seen=frozenset())

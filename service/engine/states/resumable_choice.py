"""The position of a choice, as the snapshots from which it can be continued."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.tasks import FinishReason
from service.engine.scheduling.sequence import RowSequence
from service.engine.states.penalized_tokens import PenalizedTokens
from service.engine.states.prompt_reader import CachedPrompt
from service.engine.states.shared_start import SharedStart
from service.engine.states.state_token import Snapshot
from service.engine.states.trail import PriorState, Shown, Trail
from service.engine.states.withheld_tokens import WithheldTokens
from service.kernel.api.interface import Sampling
from service.kernel.api.row_state import RowState


class ResumableChoice(RowSequence):
    """A choice with all that a continuation needs. Parameters as of ``ChoiceSequence``."""

    def __init__(
        self,
        shared: SharedStart,
        sampling: Sampling,
        tokenizer: Tokenizer,
        pieces: Sequence[Piece],
        prompt: CachedPrompt,
    ) -> None:
        super().__init__()
        self._shared = shared
        self._task = shared.task
        self._sampling = sampling
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._prompt = prompt
        self._logs = self._task.logprobs is not None
        self._penalized = PenalizedTokens(
            sampling, (piece.id for piece in pieces), shared.replayed, shared.resumed
        )
        self._position = 0  # of the first sampled token
        pending = b""
        if shared.resumed is not None:
            self._position = shared.resumed.position
            if not self._task.prompt:  # a prompt in between leaves no character to complete
                pending = shared.resumed.pending
        self._decoder = tokenizer.decoder(pending)
        self._last = prompt.tokens[0]
        self._first: RowState | None = None  # before the prompt, if a state is returned
        self._trail = Trail()
        self._constrained = shared.constrained()
        self._withheld = WithheldTokens()

    @property
    @abstractmethod
    def _held(self) -> int:
        """Characters at the end of the text that may become a stop string."""

    def _snapshot(self, reason: FinishReason, pending: bytes) -> Snapshot:
        if not self._prompt.done:
            return self._before_prompt()
        if reason == "stop":
            return self._before_cut()
        return self._at_end(pending, ended=reason == "end")

    def _at_end(self, pending: bytes, *, ended: bool = False) -> Snapshot:
        """After all tokens; ``ended``: with [END] after them."""
        snapshot = self._at(PriorState(self.state, self._tokenizer.end if ended else self._last))
        return replace(
            snapshot,
            pending=pending,
            position=snapshot.position + ended,
            constraint=None if ended else snapshot.constraint,
        )

    def _at(self, prior: PriorState) -> Snapshot:
        """A snapshot with this state that samples on after the generated tokens."""
        return Snapshot(
            state=prior.state,
            last=prior.last,
            position=self._position + self.generated,
            seed=self._sampling.seed,
            choice_index=self._sampling.choice_index,
            seen=self._penalized.seen_before(),
            counts=self._penalized.counts_before(),
            constraint=self._constrained.position(len(self._trail.tokens)),
        )

    def _before_unread(self, prior: PriorState, unread: Sequence[int]) -> Snapshot:
        """A snapshot before tokens that a continuation reads, and counts, again."""
        counts = self._penalized.counts_before(unread)
        constraint = self._constrained.position(len(self._trail.tokens) - len(unread))
        return replace(self._at(prior), unread=tuple(unread), counts=counts, constraint=constraint)

    @property
    def _shown_so_far(self) -> Shown:
        """What was sent of the trail. With logprobs, a token is sent as a whole."""
        tokens = len(self._trail.tokens)
        if not self._logs:
            return Shown(self._trail.characters - self._held, tokens)
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
            self._before_unread(waypoint.prior, self._trail.tokens[waypoint.tokens :]),
            pending=waypoint.pending,
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
            self._before_unread(before, [generated.token for generated in cut]),
            seen=self._penalized.seen_before([one.token for one in cut if one.is_new]),
            pending=cut[0].pending,
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

"""One choice of a Generate task: reads the prompt, samples, decodes, and ends.

The sequence starts from the learned initial state, reads [END], then the prompt, then samples until
[END], a stop string or ``max_tokens``. It skips tokens whose state is known: from the longest
prefix in the cache, from the first choice of its task, or from the state token of the client. The
repetition penalty applies to the tokens of the prompt and to generated tokens, except [END]; the
presence and frequency penalties apply to generated tokens.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.tasks import (
    Echo,
    Event,
    Finished,
    FinishReason,
    PromptRead,
    Token,
    TokenLogprob,
)
from service.engine.sequences.stop_strings import StopMatcher
from service.engine.sequences.token_reports import TokenReports
from service.engine.states.prompt_reader import CachedPrompt, PrefillChunk
from service.engine.states.resumable_choice import ResumableChoice
from service.engine.states.shared_start import SharedStart
from service.engine.states.state_token import Snapshot
from service.engine.states.trail import PriorState, Shown
from service.engine.states.withheld_tokens import GeneratedToken
from service.kernel.api.interface import RowResult, RowWork, Sampling, Scored
from service.kernel.api.row_state import RowState

TOKENS_BETWEEN_STATES = 16  # between two copies of the state, for a text that a stop string ends


class ChoiceSequence(ResumableChoice):
    """Choice ``index`` among those of all prompts. ``pieces``: the prompt's token ids and texts.
    ``sampling``: has the index of its random numbers, which is that among the choices of its
    prompt, or of the choice that is continued.

    ``prompt`` is the shared one for the first choice.
    """

    def __init__(
        self,
        shared: SharedStart,
        index: int,
        sampling: Sampling,
        tokenizer: Tokenizer,
        pieces: Sequence[Piece],
        prompt: CachedPrompt,
    ) -> None:
        super().__init__(shared, sampling, tokenizer, pieces, prompt)
        self._index = index
        self._reports = TokenReports(tokenizer, named=shared.task.detailed)
        follows = prompt is not shared.prompt and not shared.scores
        self._waits = follows and len(prompt.tokens) > 1
        self._prompt_scores: list[Scored] = []
        self._matcher = StopMatcher(self._task.stop)
        self._ends = self._logs and self._task.end  # whether P([END]) is reported
        self._end_logprob: float | None = None  # in the place of the token of the current call
        self._rewinds = self._task.return_state and bool(self._task.stop)
        self._tracks = self._logs or self._rewinds  # whether text is attributed to tokens
        self._is_plain = not (self._tracks or self._task.stop)  # whether text is only passed on
        self._before: PriorState | None = None  # before the token of the current call
        self._shown: tuple[int, RowState] | None = None  # tokens read, and the state after them

    def start(self) -> None:
        """Set the row to the initial or resumed state, and skip the prefix that the cache has."""
        if self._shared.resumed is None:
            self._kernel.open(self.row)
        else:
            self._kernel.restore(self.row, self._shared.resumed.state)
        if self._task.return_state or self._shared.keeps_states:
            self._first = self._kernel.save(self.row)
        if not self._waits:
            self._prompt.begin(self._kernel, self.row)

    @property
    def urgent(self) -> bool:
        """Whether no token was sampled yet."""
        return self.generated == 0

    def work(self, steps: int, max_samples: int) -> RowWork | None:
        """Up to ``steps`` tokens of the prompt, or ``max_samples`` sampled tokens."""
        if self._waits and not self._follow():
            return None
        if self._prompt.done:
            self._copy_shown_state()
            if self._trail.due:
                prior = PriorState(self._kernel.save(self.row), self._last)
                self._trail.mark(prior, self._decoder.pending, self._shown_so_far)
            if self._rewinds:
                self._before = PriorState(self._kernel.save(self.row), self._last)
            chunk = PrefillChunk([self._last], keep=0, cut=False)
        else:
            chunk = self._prompt.chunk(steps)
        # The state before each token is kept, or the whole distribution is needed for each.
        most = 1 if self._rewinds or self._ends else max_samples
        return RowWork(
            row=self.row,
            distribution=self._ends and not chunk.cut,
            feed=chunk.feed,
            sample=0 if chunk.cut else min(most, self._task.max_tokens - self.generated),
            sampling=self._sampling,
            position=self._position + self.generated,
            seen=self._penalized.repeated,
            counts=self._penalized.counts,
            score=self._shared.scores,
            keep=chunk.keep,
            constraint=self._constrained.automaton,
            constraint_state=self._constrained.state,
        )

    def take(self, result: RowResult) -> list[Event]:
        """Events of the generated tokens; Finished when the choice is complete."""
        events = [] if self._prompt.done else self._read(result)
        if result.logprobs_V is not None:
            self._end_logprob = float(result.logprobs_V[self._tokenizer.end])
        tokens = [] if self.ended_by else result.tokens  # by text that comes again
        if self._first is not None and self._before is None and tokens:
            first = self._prompt.before_last or self._first
            self._before = PriorState(first, self._prompt.tokens[-1])
        if self._is_plain:
            events += self._add_plain(tokens)
        else:
            for token, scored in itertools.zip_longest(tokens, result.generated[: len(tokens)]):
                events += self._add(token, scored)
                if self.ended_by is not None:
                    return events
        complete = self._prompt.done and self.generated == self._task.max_tokens
        if complete and self.ended_by is None:
            events += self._finish("length")
        return events

    def expire(self) -> list[Event]:
        """End with the text generated so far."""
        return self._finish("deadline")

    @property
    def resumable(self) -> bool:
        """Whether a state can stand for what was sent: the prompt was read."""
        return self._prompt.done

    def drain(self) -> list[Event]:
        """End where the text stands, with the state that continues it.

        Withheld text stays withheld: it comes first in the continuation. A choice that has not
        read its prompt has no state and no text.
        """
        self.ended_by = "drained"
        state = self._shared.token(self._drained()) if self.resumable else None
        return [self._finished("drained", "", state)]

    def _follow(self) -> bool:
        """Take over the state of the first choice, once it has read the prompt."""
        lead = self._shared.prompt
        if lead.before_last is None:
            return False
        self._waits = False
        self._prompt.skip(len(lead.tokens) - 1, lead.before_last, self._kernel, self.row)
        return True

    def _copy_shown_state(self) -> None:
        """Copy the state from time to time while all generated text is shown. If a stop string
        ends the text, the row is past the end of the text, and a conversation continues from
        this copy.
        """
        if not (self._task.stop and self._prompt.remembers) or self._matcher.holding:
            return
        read = len(self._trail.tokens) - 1
        if read - (self._shown[0] if self._shown else 0) >= TOKENS_BETWEEN_STATES:
            self._shown = (read, self._kernel.save(self.row))

    def _read(self, result: RowResult) -> list[Event]:
        self._prompt.take(result)
        self.prompt_read = self._prompt.newly_read
        self._prompt_scores += result.scored
        if not self._prompt.done:
            return []
        events: list[Event] = []
        if self._task.detailed:
            events.append(PromptRead(self._index, len(self._pieces), self._prompt.cached))
        if self._task.echo:
            events.append(self._echo())
        resumed = self._shared.resumed
        if resumed is not None and self._shared.replayed and resumed.reported is not None:
            self._trail.mark(PriorState(resumed.state, resumed.last), resumed.pending, Shown(0, 0))
            return events + self._replay(resumed, resumed.reported, searched=True)
        if resumed is not None:
            events += self._replay(resumed, 0, searched=False)
        first = self._prompt.before_last or self._first
        if self._shared.keeps_states and first is not None:
            prior = PriorState(first, self._prompt.tokens[-1])
            self._trail.mark(prior, self._decoder.pending, Shown(0, 0))
        return events

    def _replay(self, resumed: Snapshot, reported: int, *, searched: bool) -> list[Event]:
        """The text of tokens that were generated earlier, except what was shown of it.

        ``reported``: tokens that were reported with log-probabilities. ``searched``: the text is
        searched for stop strings, which was not completed before; the text that a stop string cut
        off is not.
        """
        hidden, events = resumed.shown, list[Event]()
        for index, token in enumerate(self._shared.replayed):
            pending, text = self._decoder.pending, self._decoder.push(token)
            was_shown = hidden > 0 and len(text) <= hidden
            rest, hidden = text[hidden:], max(0, hidden - len(text))
            if searched:
                self._trail.add(token, text)
            if was_shown or index < reported:
                continue
            scored = self._prompt_scores[index] if self._logs else Scored(token, 0.0)
            if searched:
                events += self._show(token, scored, rest, pending, is_new=False)
                if self.ended_by is not None:
                    break
            else:
                events.append(Token(self._index, rest, self._report(scored)))
        return events

    def _add_plain(self, tokens: list[int]) -> list[Event]:
        """Add the tokens of one turn, where neither stop strings nor log-probabilities matter."""
        ends = bool(tokens) and tokens[-1] == self._tokenizer.end
        added = tokens[:-1] if ends else tokens
        events: list[Event] = []
        if added:
            self._last = added[-1]
            self._penalized.update(added)
            self._constrained.add(added)
            self.generated += len(added)
            texts = tuple(map(self._decoder.push, added))
            for token, text in zip(added, texts, strict=True):
                self._trail.add(token, text)
            events.append(Token(self._index, "".join(texts), texts=texts))
        return [*events, *self._finish("end")] if ends else events

    def _add(self, token: int, scored: Scored | None) -> list[Event]:
        if token == self._tokenizer.end:
            return self._finish("end", scored)
        pending = self._decoder.pending if self._tracks else b""
        is_new = self._penalized.add(token)
        self._constrained.add([token])
        self._last = token
        self.generated += 1
        text = self._decoder.push(token)
        self._trail.add(token, text)
        return self._show(token, scored, text, pending, is_new=is_new)

    def _show(
        self, token: int, scored: Scored | None, text: str, pending: bytes, *, is_new: bool
    ) -> list[Event]:
        """The events of a token whose ``text`` is not shown yet. ``pending``: the bytes of an
        incomplete character before it.
        """
        shown = self._matcher.push(text)
        events: list[Event] = []
        if self._tracks:
            report = None if scored is None else self._report(scored)
            self._withheld.add(GeneratedToken(token, text, pending, is_new, report, self._before))
            events += self._settled(len(shown))
        if not self._logs:
            events.append(Token(self._index, shown))
        return [*events, *self._finish("stop")] if self._matcher.stopped else events

    def _settled(self, characters: int, *, ends: bool = False) -> list[Event]:
        """The events of tokens that ``characters`` more shown characters complete. With
        ``ends``, the token that is shown in part is included. Empty without logprobs.
        """
        whole = ends or not self._decoder.pending
        settled = list(self._withheld.show(characters, whole=whole))
        if ends:
            settled += self._withheld.cut()
        if not self._logs:
            return []
        return [Token(self._index, generated.text, generated.report) for generated in settled]

    def _finish(self, reason: FinishReason, end: Scored | None = None) -> list[Event]:
        """The last events: tokens whose text was withheld (with logprobs), then Finished. ``end``:
        the sampled [END].
        """
        returns = self._task.return_state
        # an incomplete character is left for the continuation
        pending = self._decoder.pending if returns and reason not in ("end", "stop") else b""
        held_back = "" if pending else self._decoder.flush()
        self._withheld.complete(held_back)
        text = self._matcher.push(held_back) + self._matcher.flush()
        if self._matcher.stopped:
            reason = "stop"
        self.ended_by = reason
        self._remember(reason)
        state = self._shared.token(self._snapshot(reason, pending)) if returns else None
        token_events = self._settled(len(text), ends=True) if self._tracks else []
        finished = self._finished(reason, "" if token_events else text, state)
        if reason == "end" and self._logs and self._task.detailed and end is not None:
            token_events.append(Token(self._index, "", self._report(end)))
        return [*token_events, finished]

    def _finished(self, reason: FinishReason, text: str, state: str | None) -> Finished:
        return Finished(
            index=self._index,
            reason=reason,
            text=text,
            prompt_tokens=len(self._pieces),
            completion_tokens=self.generated,
            cached_tokens=self._prompt.cached,
            seed=self._sampling.seed,
            state=state,
            final=self._shared.opened.close(),
        )

    def _remember(self, reason: FinishReason) -> None:
        """Cache the state after the whole text, for a conversation that continues it."""
        if not self._prompt.remembers:
            return
        if reason == "stop":
            if self._shown is not None:
                read, state = self._shown
                self._prompt.remember(self._trail.tokens[:read], state)
        elif self.generated:
            read = self.generated if reason == "end" else self.generated - 1
            self._prompt.remember(self._trail.tokens[:read], lambda: self.state)

    @property
    def _held(self) -> int:
        return self._matcher.held

    def _echo(self) -> Event:
        prompt = self._task.prompt
        text = prompt if isinstance(prompt, str) else self._tokenizer.decode(prompt)
        scores = self._prompt_scores
        if self._logs and len(scores) < len(self._pieces):  # given ids: nothing precedes the first
            scores = [Scored(self._pieces[0].id, math.nan), *scores]
        return Echo(self._index, text, self._reports.echoed(scores, self._pieces))

    def _report(self, scored: Scored) -> TokenLogprob | None:
        return self._reports.generated(scored, self._end_logprob) if self._logs else None

"""One choice of a Generate task: reads the prompt, samples, decodes, and watches for the end.

Starts from the learned first state, reads [END], then the prompt, then samples until [END], a stop
string or ``max_tokens``. What was read before need not be read again: a choice goes on from the
longest prefix that the state cache knows, from what the first choice of its task has read, or from
the state that the client has resumed. The repetition penalty holds for the tokens of the prompt
and those generated, [END] left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.state import State
from model.tokenization.tokenizer import Tokenizer
from service.engine.api.tasks import (
    Echo,
    Event,
    Finished,
    FinishReason,
    Generate,
    Token,
    TokenLogprob,
)
from service.engine.scheduling.sequence import RowSequence
from service.engine.sequences.stop_strings import StopMatcher
from service.engine.sequences.withheld_tokens import GeneratedToken, PriorState, WithheldTokens
from service.engine.states.prompt_reader import CachedPrompt, PrefillChunk
from service.engine.states.state_token import Snapshot, StateTokenCodec
from service.kernel.api.interface import RowResult, RowWork, Sampling, Scored

TOKENS_BETWEEN_STATES = (
    16  # generated between two copies of a state that a stop string may make useful
)


class SharedStart:
    """What the choices of one task have in common: where they begin, and how many are open.

    ``resumed``: the state that the client resumes from. ``prompt``: the one that the first choice
    reads; the others wait for it to have the state before its last token, unless the prompt is
    scored (``scores``), which every choice does for itself. ``again``: tokens generated earlier, at
    the end of ``prompt``, whose text a stop string has cut off; without a new prompt it comes first.
    """

    def __init__(
        self, task: Generate, prompt: CachedPrompt, codec: StateTokenCodec, resumed: Snapshot | None
    ) -> None:
        self.task = task
        self.prompt = prompt
        self.codec = codec
        self.resumed = resumed
        self.again = () if resumed is None or task.prompt else resumed.unread
        self.scores = task.logprobs is not None and (task.echo or bool(self.again))
        self._open = task.n

    def close(self) -> bool:
        """Counts one choice as finished; whether it was the last."""
        self._open -= 1
        return self._open == 0


class ChoiceSequence(RowSequence):
    """``pieces``: the prompt's token ids and their texts; ``sampling`` with the choice set.

    ``prompt`` is the shared one for the first choice.
    """

    def __init__(
        self,
        shared: SharedStart,
        sampling: Sampling,
        tokenizer: Tokenizer,
        pieces: Sequence[tuple[int, str]],
        prompt: CachedPrompt,
    ) -> None:
        super().__init__()
        self._task = shared.task
        self._shared = shared
        self._sampling = sampling
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._prompt = prompt
        follows = prompt is not shared.prompt and not shared.scores
        self._waits = follows and len(prompt.tokens) > 1
        self._prompt_scores: list[Scored] = []
        self._seen = {token for token, _ in pieces} | set(shared.again)
        self._position = 0  # of the first draw
        pending = b""
        if shared.resumed is not None:
            self._seen |= shared.resumed.seen
            self._position = shared.resumed.position
            if (
                not self._task.prompt
            ):  # what is read in between leaves no half of a character to complete
                pending = shared.resumed.pending
        self._drawn_tokens: list[int] = []
        self._last = prompt.tokens[0]
        self._decoder = tokenizer.decoder(pending)
        self._matcher = StopMatcher(self._task.stop)
        self._logs = self._task.logprobs is not None
        self._rewinds = self._task.return_state and bool(self._task.stop)
        self._tracks = self._logs or self._rewinds  # whether it matters of which tokens a text is
        self._before: PriorState | None = None  # the token that the call under way max_samples
        self._withheld = WithheldTokens()
        self._shown: tuple[int, State] | None = None  # read of what was generated and shown, so far
        self._first: State | None = None  # before the prompt, where a state is to be returned

    def start(self) -> None:
        """Begins at the beginning, or as far on as is known."""
        if self._shared.resumed is None:
            self._kernel.open(self.row)
        else:
            self._kernel.restore(self.row, self._shared.resumed.state)
        if self._task.return_state:
            self._first = self._kernel.save(self.row)
        if not self._waits:
            self._prompt.begin(self._kernel, self.row)

    @property
    def urgent(self) -> bool:
        """Until the first token is generated."""
        return self.generated == 0

    def work(self, steps: int, max_samples: int) -> RowWork | None:
        """Up to ``steps`` tokens of the prompt, or of what is generated."""
        if self._waits and not self._follow():
            return None
        if self._prompt.done:
            self._look_back()
            if self._rewinds:
                self._before = PriorState(self._kernel.save(self.row), self._last)
            chunk = PrefillChunk([self._last], keep=0, cut=False)
        else:
            chunk = self._prompt.chunk(steps)
        penalised = self._sampling.repetition_penalty != 1.0
        return RowWork(
            row=self.row,
            feed=chunk.feed,
            sample=0 if chunk.cut else min(max_samples, self._most_drawn()),
            sampling=self._sampling,
            position=self._position + self.generated,
            seen=self._seen if penalised else (),
            score=self._shared.scores,
            keep=chunk.keep,
        )

    def take(self, result: RowResult) -> list[Event]:
        """Events for the tokens generated; Finished when the choice is complete."""
        events = [] if self._prompt.done else self._read(result)
        if self._first is not None and self._before is None and result.generated:
            self._before = PriorState(
                self._prompt.before_last or self._first, self._prompt.tokens[-1]
            )
        for scored in result.generated:
            events += self._add(scored)
            if self.ended_by is not None:
                return events
        if self._prompt.done and self.generated == self._task.max_tokens:
            events += self._finish("length")
        return events

    def expire(self) -> list[Event]:
        """Ends with what there is."""
        return self._finish("deadline")

    def _follow(self) -> bool:
        """Takes over what the first choice has read, once it has read it."""
        lead = self._shared.prompt
        if lead.before_last is None:
            return False
        self._waits = False
        self._prompt.skip(len(lead.tokens) - 1, lead.before_last, self._kernel, self.row)
        return True

    def _most_drawn(self) -> int:
        left = self._task.max_tokens - self.generated
        return min(left, 1) if self._rewinds else left  # the state before each is wanted

    def _look_back(self) -> None:
        """Copies the state now and then while all that was generated has been shown: where a stop
        string ends the text, the row has run ahead, and a conversation goes on from before it.
        """
        if not (self._task.stop and self._prompt.remembers) or self._matcher.holding:
            return
        read = len(self._drawn_tokens) - 1
        if read - (self._shown[0] if self._shown else 0) >= TOKENS_BETWEEN_STATES:
            self._shown = (read, self._kernel.save(self.row))

    def _read(self, result: RowResult) -> list[Event]:
        self._prompt.take(result)
        self.prompt_read = self._prompt.newly_read
        self._prompt_scores += result.scored
        if not self._prompt.done:
            return []
        return [*(self._echo() if self._task.echo else []), *self._show_again()]

    def _show_again(self) -> list[Event]:
        """What an earlier stop string has cut off. It is not searched for stop strings."""
        resumed, events = self._shared.resumed, list[Event]()
        shown = 0 if resumed is None else resumed.shown
        for place, token in enumerate(self._shared.again):
            text = self._decoder.push(token)
            rest, shown = text[shown:], max(0, shown - len(text))
            if rest or not text:
                reported = self._report(self._prompt_scores[place], None) if self._logs else None
                events.append(Token(self._sampling.choice_index, rest, reported))
        return events

    def _add(self, scored: Scored) -> list[Event]:
        token = scored.token
        if token == self._tokenizer.end:
            return self._finish("end")
        pending = self._decoder.pending if self._tracks else b""
        is_new = token not in self._seen
        self._last = token
        self._seen.add(token)
        self._drawn_tokens.append(token)
        self.generated += 1
        text = self._decoder.push(token)
        shown = self._matcher.push(text)
        events: list[Event] = []
        if self._tracks:
            reported = self._report(scored, None) if self._logs else None
            self._withheld.add(GeneratedToken(token, text, pending, is_new, reported, self._before))
            events += self._settled(len(shown))
        if not self._logs:
            events.append(Token(self._sampling.choice_index, shown))
        return [*events, *self._finish("stop")] if self._matcher.stopped else events

    def _settled(self, characters: int, *, ends: bool = False) -> list[Event]:
        """So much more text is shown: with logprobs, the events of tokens that are shown whole;
        when it ``ends`` there, also of one that is shown in part.
        """
        whole = ends or not self._decoder.pending
        settled = list(self._withheld.show(characters, whole=whole))
        if ends:
            settled += self._withheld.cut()
        if not self._logs:
            return []
        return [
            Token(self._sampling.choice_index, generated.text, generated.report)
            for generated in settled
        ]

    def _finish(self, reason: FinishReason) -> list[Event]:
        """The last events: with logprobs, tokens with the text that was withheld; the end."""
        returns = self._task.return_state
        # half a character is left to the next part, where there may be one
        pending = self._decoder.pending if returns and reason not in ("end", "stop") else b""
        held_back = "" if pending else self._decoder.flush()
        self._withheld.complete(held_back)
        text = self._matcher.push(held_back) + self._matcher.flush()
        if self._matcher.stopped:
            reason = "stop"
        self.ended_by = reason
        self._remember(reason)
        state = self._state_token(reason, pending) if returns else None
        told = self._settled(len(text), ends=True) if self._tracks else []
        finished = Finished(
            index=self._sampling.choice_index,
            reason=reason,
            text="" if told else text,
            prompt_tokens=len(self._pieces),
            completion_tokens=self.generated,
            cached_tokens=self._prompt.cached,
            seed=self._sampling.seed,
            state=state,
            final=self._shared.close(),
        )
        return [*told, finished]

    def _remember(self, reason: FinishReason) -> None:
        """Keeps the state after the whole text, for a conversation that goes on with it."""
        if not self._prompt.remembers:
            return
        if reason == "stop":
            if self._shown is not None:
                read, state = self._shown
                self._prompt.remember(self._drawn_tokens[:read], state)
        elif self.generated:
            read = self.generated if reason == "end" else self.generated - 1
            self._prompt.remember(self._drawn_tokens[:read], self.state)

    def _state_token(self, reason: FinishReason, pending: bytes) -> str:
        return self._shared.codec.encode(self._snapshot(reason, pending), self._task.tenant)

    def _snapshot(self, reason: FinishReason, pending: bytes) -> Snapshot:
        if not self._prompt.done:
            return self._before_prompt()
        if reason == "stop":
            return self._before_cut()
        ended = reason == "end"
        return Snapshot(
            state=self.state,
            last=self._tokenizer.end if ended else self._last,
            position=self._position + self.generated + ended,
            seed=self._sampling.seed,
            choice_index=self._sampling.choice_index,
            seen=frozenset(self._seen),
            pending=pending,
        )

    def _before_cut(self) -> Snapshot:
        """After the text that is shown: before the tokens that a stop string has cut, which are
        kept beside it.
        """
        cut = self._withheld.tokens
        before = cut[0].before
        assert before is not None, "the state before each token is kept"
        return Snapshot(
            state=before.state,
            last=before.last,
            position=self._position + self.generated,
            seed=self._sampling.seed,
            choice_index=self._sampling.choice_index,
            seen=frozenset(self._seen - {generated.token for generated in cut if generated.is_new}),
            pending=cut[0].pending,
            unread=tuple(generated.token for generated in cut),
            shown=self._withheld.shown,
        )

    def _before_prompt(self) -> Snapshot:
        """For a deadline that passes before the prompt is read: asking again with this state and
        the same prompt misses nothing.
        """
        seed, choice_index = self._sampling.seed, self._sampling.choice_index
        if self._shared.resumed is not None:
            return replace(self._shared.resumed, seed=seed, choice_index=choice_index)
        assert self._first is not None, "a state is returned"
        return Snapshot(
            state=self._first,
            last=self._tokenizer.end,
            position=0,
            seed=seed,
            choice_index=choice_index,
            seen=frozenset(),
        )

    def _echo(self) -> list[Event]:
        prompt = self._task.prompt
        text = prompt if isinstance(prompt, str) else self._tokenizer.decode(prompt)
        scores = zip(self._prompt_scores, self._pieces, strict=False)
        tokens = tuple(self._report(scored, piece) for scored, (_, piece) in scores)
        return [Echo(self._sampling.choice_index, text, tokens)]

    def _report(self, scored: Scored, text: str | None) -> TokenLogprob:
        text_of = self._tokenizer.text_of
        return TokenLogprob(
            text_of(scored.token) if text is None else text,
            scored.logprob,
            tuple((text_of(token), logprob) for token, logprob in scored.top),
        )

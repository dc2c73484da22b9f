"""One choice of a Generate task: reads the prompt, samples, decodes, and ends.

The sequence starts from the learned initial state, reads [END], then the prompt, then samples until
[END], a stop string or ``max_tokens``. It skips tokens whose state is known: from the longest
prefix in the cache, from the first choice of its task, or from the state token of the client. The
repetition penalty applies to the tokens of the prompt and to generated tokens, except [END].
"""

from __future__ import annotations

import itertools
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

TOKENS_BETWEEN_STATES = 16  # between two copies of the state, for a text that a stop string ends


class SharedStart:
    """The common start of the choices of one task, and the number of open choices.

    ``resumed``: the decoded state token of the client. ``prompt``: the prompt that the first choice
    reads. The other choices wait for the state before its last token, unless the prompt is scored
    (``scores``), which each choice does for itself. ``replayed``: tokens at the end of ``prompt``
    that were generated earlier and whose text a stop string cut off; without a new prompt their
    text comes first.
    """

    def __init__(
        self, task: Generate, prompt: CachedPrompt, codec: StateTokenCodec, resumed: Snapshot | None
    ) -> None:
        self.task = task
        self.prompt = prompt
        self.codec = codec
        self.resumed = resumed
        self.replayed = () if resumed is None or task.prompt else resumed.unread
        self.scores = task.logprobs is not None and (task.echo or bool(self.replayed))
        self._open = task.n

    def close(self) -> bool:
        """Count one choice as finished. Returns whether it was the last."""
        self._open -= 1
        return self._open == 0


class ChoiceSequence(RowSequence):
    """One choice. ``pieces``: the prompt's token ids and texts. ``sampling``: has the choice's
    index.

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
        self._seen = {token for token, _ in pieces} | set(shared.replayed)
        self._position = 0  # of the first sampled token
        pending = b""
        if shared.resumed is not None:
            self._seen |= shared.resumed.seen
            self._position = shared.resumed.position
            if not self._task.prompt:  # a prompt in between leaves no character to complete
                pending = shared.resumed.pending
        self._generated_tokens: list[int] = []
        self._last = prompt.tokens[0]
        self._decoder = tokenizer.decoder(pending)
        self._matcher = StopMatcher(self._task.stop)
        self._logs = self._task.logprobs is not None
        self._rewinds = self._task.return_state and bool(self._task.stop)
        self._tracks = self._logs or self._rewinds  # whether text is attributed to tokens
        self._is_plain = not (self._tracks or self._task.stop)  # whether text is only passed on
        self._before: PriorState | None = None  # before the token of the current call
        self._withheld = WithheldTokens()
        self._shown: tuple[int, State] | None = None  # tokens read, and the state after them
        self._first: State | None = None  # before the prompt, if a state is returned

    def start(self) -> None:
        """Set the row to the initial or resumed state, and skip the prefix that the cache has."""
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
        """Whether no token was sampled yet."""
        return self.generated == 0

    def work(self, steps: int, max_samples: int) -> RowWork | None:
        """Up to ``steps`` tokens of the prompt, or ``max_samples`` sampled tokens."""
        if self._waits and not self._follow():
            return None
        if self._prompt.done:
            self._copy_shown_state()
            if self._rewinds:
                self._before = PriorState(self._kernel.save(self.row), self._last)
            chunk = PrefillChunk([self._last], keep=0, cut=False)
        else:
            chunk = self._prompt.chunk(steps)
        penalized = self._sampling.repetition_penalty != 1.0
        return RowWork(
            row=self.row,
            feed=chunk.feed,
            sample=0 if chunk.cut else min(max_samples, self._most_samples()),
            sampling=self._sampling,
            position=self._position + self.generated,
            seen=self._seen if penalized else (),
            score=self._shared.scores,
            keep=chunk.keep,
        )

    def take(self, result: RowResult) -> list[Event]:
        """Events of the generated tokens; Finished when the choice is complete."""
        events = [] if self._prompt.done else self._read(result)
        if self._first is not None and self._before is None and result.tokens:
            self._before = PriorState(
                self._prompt.before_last or self._first, self._prompt.tokens[-1]
            )
        if self._is_plain:
            events += self._add_plain(result.tokens)
        else:
            for token, scored in itertools.zip_longest(result.tokens, result.generated):
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

    def _follow(self) -> bool:
        """Take over the state of the first choice, once it has read the prompt."""
        lead = self._shared.prompt
        if lead.before_last is None:
            return False
        self._waits = False
        self._prompt.skip(len(lead.tokens) - 1, lead.before_last, self._kernel, self.row)
        return True

    def _most_samples(self) -> int:
        left = self._task.max_tokens - self.generated
        return min(left, 1) if self._rewinds else left  # the state before each token is kept

    def _copy_shown_state(self) -> None:
        """Copy the state from time to time while all generated text is shown. If a stop string
        ends the text, the row is past the end of the text, and a conversation continues from
        this copy.
        """
        if not (self._task.stop and self._prompt.remembers) or self._matcher.holding:
            return
        read = len(self._generated_tokens) - 1
        if read - (self._shown[0] if self._shown else 0) >= TOKENS_BETWEEN_STATES:
            self._shown = (read, self._kernel.save(self.row))

    def _read(self, result: RowResult) -> list[Event]:
        self._prompt.take(result)
        self.prompt_read = self._prompt.newly_read
        self._prompt_scores += result.scored
        if not self._prompt.done:
            return []
        return [*(self._echo() if self._task.echo else []), *self._replay()]

    def _replay(self) -> list[Event]:
        """The text that an earlier stop string cut off. It is not searched for stop strings."""
        resumed, events = self._shared.resumed, list[Event]()
        shown = 0 if resumed is None else resumed.shown
        for index, token in enumerate(self._shared.replayed):
            text = self._decoder.push(token)
            rest, shown = text[shown:], max(0, shown - len(text))
            if rest or not text:
                reported = self._report(self._prompt_scores[index], None) if self._logs else None
                events.append(Token(self._sampling.choice_index, rest, reported))
        return events

    def _add_plain(self, tokens: list[int]) -> list[Event]:
        """Add the tokens of one turn, where neither stop strings nor log-probabilities matter."""
        ends = bool(tokens) and tokens[-1] == self._tokenizer.end
        added = tokens[:-1] if ends else tokens
        events: list[Event] = []
        if added:
            self._last = added[-1]
            self._seen.update(added)
            self._generated_tokens += added
            self.generated += len(added)
            texts = tuple(map(self._decoder.push, added))
            events.append(Token(self._sampling.choice_index, "".join(texts), texts=texts))
        return [*events, *self._finish("end")] if ends else events

    def _add(self, token: int, scored: Scored | None) -> list[Event]:
        if token == self._tokenizer.end:
            return self._finish("end")
        pending = self._decoder.pending if self._tracks else b""
        is_new = token not in self._seen
        self._last = token
        self._seen.add(token)
        self._generated_tokens.append(token)
        self.generated += 1
        text = self._decoder.push(token)
        shown = self._matcher.push(text)
        events: list[Event] = []
        if self._tracks:
            reported = None if scored is None or not self._logs else self._report(scored, None)
            self._withheld.add(GeneratedToken(token, text, pending, is_new, reported, self._before))
            events += self._settled(len(shown))
        if not self._logs:
            events.append(Token(self._sampling.choice_index, shown))
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
        return [
            Token(self._sampling.choice_index, generated.text, generated.report)
            for generated in settled
        ]

    def _finish(self, reason: FinishReason) -> list[Event]:
        """The last events: tokens whose text was withheld (with logprobs), then Finished."""
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
        state = self._state_token(reason, pending) if returns else None
        token_events = self._settled(len(text), ends=True) if self._tracks else []
        finished = Finished(
            index=self._sampling.choice_index,
            reason=reason,
            text="" if token_events else text,
            prompt_tokens=len(self._pieces),
            completion_tokens=self.generated,
            cached_tokens=self._prompt.cached,
            seed=self._sampling.seed,
            state=state,
            final=self._shared.close(),
        )
        return [*token_events, finished]

    def _remember(self, reason: FinishReason) -> None:
        """Cache the state after the whole text, for a conversation that continues it."""
        if not self._prompt.remembers:
            return
        if reason == "stop":
            if self._shown is not None:
                read, state = self._shown
                self._prompt.remember(self._generated_tokens[:read], state)
        elif self.generated:
            read = self.generated if reason == "end" else self.generated - 1
            self._prompt.remember(self._generated_tokens[:read], self.state)

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
        """The state after the shown text: before the tokens that a stop string cut, which the
        snapshot holds as ``unread``.
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
        """The state at the start, for a deadline that passes before the prompt is read. The same
        prompt with this state gives the whole answer.
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

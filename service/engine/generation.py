"""One choice of a Generate task: reads the prompt, draws, decodes, and watches for the end.

Starts from the learned first state, reads [END], then the prompt, then draws until [END], a stop
string or ``max_tokens``. What was read before need not be read again: a choice goes on from the
longest prefix that the state cache knows, from what the first choice of its task has read, or from
the state that the client has brought. The repetition penalty holds for the tokens of the prompt
and those drawn, [END] left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.state import State
from model.tokenizer import Tokenizer
from service.engine.cached_prompt import CachedPrompt, Stretch
from service.engine.portable_state import Sealer, Snapshot
from service.engine.sequence import RowSequence
from service.engine.stopping import StopMatcher
from service.engine.tasks import Echo, Event, Finished, FinishReason, Generate, Token, TokenLogprob
from service.kernel.interface import RowResult, RowWork, Sampling, Scored

TOKENS_BETWEEN_LOOKS = 16  # drawn between two copies of a state that a stop string may make useful


class SharedStart:
    """What the choices of one task have in common: where they begin, and how many are open.

    ``brought``: the state that the client resumes from. ``prompt``: the one that the first choice
    reads; the others wait for it to have the state before its last token, unless the prompt is
    scored (``scores``), which every choice does for itself.
    """

    def __init__(
        self, task: Generate, prompt: CachedPrompt, sealer: Sealer, brought: Snapshot | None
    ) -> None:
        self.task = task
        self.prompt = prompt
        self.sealer = sealer
        self.brought = brought
        self.scores = task.echo and task.logprobs is not None
        self._open = task.n

    def close(self) -> bool:
        """Counts one choice as finished; whether it was the last."""
        self._open -= 1
        return self._open == 0


class Choice(RowSequence):
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
        self._seen = {token for token, _ in pieces}
        self._position = 0  # of the first draw
        pending = b""
        if shared.brought is not None:
            self._seen |= shared.brought.seen
            self._position = shared.brought.position
            if not pieces:  # what is read in between leaves no half of a character to complete
                pending = shared.brought.pending
        self._drawn_tokens: list[int] = []
        self._last = prompt.tokens[0]
        self._decoder = tokenizer.decoder(pending)
        self._matcher = StopMatcher(self._task.stop)
        self._shown: tuple[int, State] | None = None  # read of what was drawn and shown, so far
        self._first: State | None = None  # before the prompt, where a state is to be returned

    def start(self) -> None:
        """Begins at the beginning, or as far on as is known."""
        if self._shared.brought is None:
            self._kernel.open(self.row)
        else:
            self._kernel.restore(self.row, self._shared.brought.state)
        if self._task.return_state:
            self._first = self._kernel.save(self.row)
        if not self._waits:
            self._prompt.begin(self._kernel, self.row)

    @property
    def urgent(self) -> bool:
        """Until the first token is drawn."""
        return self.drawn == 0

    def work(self, steps: int, draws: int) -> RowWork | None:
        """Up to ``steps`` tokens of the prompt, or of what is drawn."""
        if self._waits and not self._follow():
            return None
        if self._prompt.done:
            self._look_back()
            stretch = Stretch([self._last], keep=0, cut=False)
        else:
            stretch = self._prompt.stretch(steps)
        penalised = self._sampling.repetition_penalty != 1.0
        return RowWork(
            row=self.row,
            feed=stretch.feed,
            draw=0 if stretch.cut else min(draws, self._most_drawn()),
            sampling=self._sampling,
            position=self._position + self.drawn,
            seen=self._seen if penalised else (),
            score=self._shared.scores,
            keep=stretch.keep,
        )

    def take(self, result: RowResult) -> list[Event]:
        """Events for the tokens drawn; Finished when the choice is complete."""
        events = [] if self._prompt.done else self._read(result)
        for scored in result.drawn:
            events += self._add(scored)
            if self.ended_by is not None:
                return events
        if self._prompt.done and self.drawn == self._task.max_tokens:
            events.append(self._finish("length"))
        return events

    def expire(self) -> list[Event]:
        """Ends with what there is."""
        return [self._finish("deadline")]

    def _follow(self) -> bool:
        """Takes over what the first choice has read, once it has read it."""
        lead = self._shared.prompt
        if lead.before_last is None:
            return False
        self._waits = False
        self._prompt.skip(len(lead.tokens) - 1, lead.before_last, self._kernel, self.row)
        return True

    def _most_drawn(self) -> int:
        left = self._task.max_tokens - self.drawn
        # where the state is wanted and a stop string may end it, it must not run ahead
        return min(left, 1) if self._task.return_state and self._task.stop else left

    def _look_back(self) -> None:
        """Copies the state now and then while all that was drawn has been shown: where a stop
        string ends the text, the row has run ahead, and a conversation goes on from before it.
        """
        if not (self._task.stop and self._prompt.remembers) or self._matcher.holding:
            return
        read = len(self._drawn_tokens) - 1
        if read - (self._shown[0] if self._shown else 0) >= TOKENS_BETWEEN_LOOKS:
            self._shown = (read, self._kernel.save(self.row))

    def _read(self, result: RowResult) -> list[Event]:
        self._prompt.take(result)
        self.prompt_read = self._prompt.newly_read
        self._prompt_scores += result.scored
        return self._echo() if self._task.echo and self._prompt.done else []

    def _add(self, scored: Scored) -> list[Event]:
        if scored.token == self._tokenizer.end:
            return [self._finish("end")]
        self._last = scored.token
        self._seen.add(scored.token)
        self._drawn_tokens.append(scored.token)
        self.drawn += 1
        text = self._matcher.push(self._decoder.push(scored.token))
        reported = None if self._task.logprobs is None else self._report(scored, None)
        events: list[Event] = [Token(self._sampling.choice, text, reported)]
        if self._matcher.stopped:
            events.append(self._finish("stop"))
        return events

    def _finish(self, reason: FinishReason) -> Finished:
        returns = self._task.return_state
        # half a character is left to the next part, where there may be one
        pending = self._decoder.pending if returns and reason != "end" else b""
        held_back = "" if pending else self._decoder.flush()
        text = self._matcher.push(held_back) + self._matcher.flush()
        if self._matcher.stopped:
            reason = "stop"
        self.ended_by = reason
        self._remember(reason)
        return Finished(
            index=self._sampling.choice,
            reason=reason,
            text=text,
            prompt_tokens=len(self._pieces),
            completion_tokens=self.drawn,
            cached_tokens=self._prompt.cached,
            seed=self._sampling.seed,
            state=self._shared.sealer.seal(self._snapshot(reason, pending)) if returns else None,
            final=self._shared.close(),
        )

    def _remember(self, reason: FinishReason) -> None:
        """Keeps the state after the whole text, for a conversation that goes on with it."""
        if not self._prompt.remembers:
            return
        if reason == "stop":
            if self._shown is not None:
                read, state = self._shown
                self._prompt.remember(self._drawn_tokens[:read], state)
        elif self.drawn:
            read = self.drawn if reason == "end" else self.drawn - 1
            self._prompt.remember(self._drawn_tokens[:read], self.state)

    def _snapshot(self, reason: FinishReason, pending: bytes) -> Snapshot:
        if not self._prompt.done:
            return self._before_prompt()
        ended = reason == "end"
        return Snapshot(
            state=self.state,
            last=self._tokenizer.end if ended else self._last,
            position=self._position + self.drawn + ended,
            seed=self._sampling.seed,
            choice=self._sampling.choice,
            seen=frozenset(self._seen),
            pending=pending,
        )

    def _before_prompt(self) -> Snapshot:
        """For a deadline that passes before the prompt is read: asking again with this state and
        the same prompt misses nothing.
        """
        seed, choice = self._sampling.seed, self._sampling.choice
        if self._shared.brought is not None:
            return replace(self._shared.brought, seed=seed, choice=choice)
        assert self._first is not None, "a state is returned"
        return Snapshot(
            state=self._first,
            last=self._tokenizer.end,
            position=0,
            seed=seed,
            choice=choice,
            seen=frozenset(),
        )

    def _echo(self) -> list[Event]:
        prompt = self._task.prompt
        text = prompt if isinstance(prompt, str) else self._tokenizer.decode(prompt)
        scores = zip(self._prompt_scores, self._pieces, strict=False)
        tokens = tuple(self._report(scored, piece) for scored, (_, piece) in scores)
        return [Echo(self._sampling.choice, text, tokens)]

    def _report(self, scored: Scored, text: str | None) -> TokenLogprob:
        text_of = self._tokenizer.text_of
        return TokenLogprob(
            text_of(scored.token) if text is None else text,
            scored.logprob,
            tuple((text_of(token), logprob) for token, logprob in scored.top),
        )

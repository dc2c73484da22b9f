"""One choice of a Generate task: reads the prompt, draws, decodes, and watches for the end.

Starts from the learned first state, reads [END], then the prompt, then draws until [END], a stop
string or ``max_tokens``. What was read before need not be read again: a choice goes on from the
longest prefix that the state cache knows, from what the first choice of its task has read, or from
the state that the client has brought. The repetition penalty holds for the tokens of the prompt
and those drawn, [END] left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.state import State
from model.tokenizer import Tokenizer
from service.engine.portable_state import Sealer, Snapshot
from service.engine.sequence import PromptReader, RowSequence
from service.engine.state_cache import BLOCK, StateCache
from service.engine.stopping import StopMatcher
from service.engine.tasks import Echo, Event, Finished, FinishReason, Generate, Token, TokenLogprob
from service.kernel.interface import Kernel, RowResult, RowWork, Sampling, Scored


class SharedStart:
    """What the choices of one task have in common: where they begin, and how many are open.

    ``brought``: the state that the client resumes from. ``before_last``: the state after all of
    the prompt but its last token, once the first choice has read that far; the others take it.
    """

    def __init__(
        self, task: Generate, cache: StateCache, sealer: Sealer, brought: Snapshot | None
    ) -> None:
        self.task = task
        self.cache = cache
        self.sealer = sealer
        self.brought = brought
        self.before_last: State | None = None
        self._open = task.n

    @property
    def caches(self) -> bool:
        """Whether the cache knows the texts of this task from their beginning."""
        return self.cache.enabled and self.brought is None

    def close(self) -> bool:
        """Counts one choice as finished; whether it was the last."""
        self._open -= 1
        return self._open == 0


class Choice(RowSequence):
    """``pieces``: the prompt's token ids and their texts; ``sampling`` with the choice set."""

    def __init__(
        self,
        shared: SharedStart,
        sampling: Sampling,
        tokenizer: Tokenizer,
        pieces: Sequence[tuple[int, str]],
        *,
        leads: bool,
    ) -> None:
        super().__init__()
        self._task = task = shared.task
        self._shared = shared
        self._sampling = sampling
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._leads = leads
        brought = shared.brought
        first = tokenizer.end if brought is None else brought.last
        self._prompt = PromptReader([first, *(token for token, _ in pieces)])
        self._skipped = 0  # tokens at the beginning that others have read
        self._scores_prompt = task.echo and task.logprobs is not None
        self._awaits_leader = not (leads or self._scores_prompt) and len(self._prompt.tokens) > 1
        self._prompt_scores: list[Scored] = []
        self._seen = {token for token, _ in pieces} | (brought.seen if brought else set())
        self._position = brought.position if brought else 0  # of the first draw
        self._drawn_tokens: list[int] = []
        self._last = first
        self._decoder = tokenizer.decoder(brought.pending if brought else b"")
        self._matcher = StopMatcher(task.stop)
        self._kernel: Kernel

    def start(self, kernel: Kernel) -> None:
        """Begins at the beginning, or as far on as is known."""
        self._kernel = kernel
        shared, tokens = self._shared, self._prompt.tokens
        if shared.brought is not None:
            kernel.restore(self.row, shared.brought.state)
            return
        kernel.open(self.row)
        if len(tokens) > 1 and not (self._scores_prompt or self._awaits_leader):
            found = shared.cache.find(self._task.tenant, tokens[:-1])
            if found is not None:
                self._go_on_from(found.state, found.length)
                self._tell_others(found.state, found.length)

    def ahead(self, steps: int) -> RowWork | None:
        """The prompt up to, and without, its last token."""
        read, before_last = self._prompt.read, len(self._prompt.tokens) - 1
        if read >= before_last or self._awaits_leader or self._scores_prompt:
            return None
        feed = self._prompt.tokens[read : min(read + steps, before_last)]
        return RowWork(row=self.row, feed=feed, keep=self._keep(len(feed)))

    def work(self, steps: int) -> RowWork | None:
        """Up to ``steps`` tokens of the prompt, or of what is drawn."""
        if self._awaits_leader:
            if self._shared.before_last is None:
                return None
            self._awaits_leader = False
            self._go_on_from(self._shared.before_last, len(self._prompt.tokens) - 1)
        penalised = self._sampling.repetition_penalty != 1.0
        left = self._task.max_tokens - self.drawn
        return RowWork(
            row=self.row,
            feed=[self._last] if self._prompt.done else self._prompt.window(steps),
            # where the state is wanted and a stop string may end it, it must not run ahead
            draw=min(left, 1) if self._task.return_state and self._task.stop else left,
            sampling=self._sampling,
            position=self._position + self.drawn,
            seen=self._seen if penalised else (),
            score=self._scores_prompt,
            keep=self._keep(steps),
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

    def _go_on_from(self, state: State, length: int) -> None:
        self._kernel.restore(self.row, state)
        self._prompt.read = self._skipped = length

    def _keep(self, steps: int) -> int:
        """After how many of the next tokens the state is worth a copy: all but the last token of
        the prompt, or the end of a block of it.
        """
        shared, read = self._shared, self._prompt.read
        before_last = len(self._prompt.tokens) - 1
        if self._prompt.done or not (shared.caches or self._task.n > 1):
            return 0
        if read < before_last <= read + steps:
            return before_last - read
        block_end = (read // BLOCK + 1) * BLOCK
        return block_end - read if block_end <= min(read + steps, before_last) else 0

    def _read(self, result: RowResult) -> list[Event]:
        before = self._prompt.read
        self._prompt.read += result.read
        self.prompt_read = max(0, self._prompt.read - max(1, self._skipped))
        self._prompt_scores += result.scored
        if result.kept is not None:
            self._put_away(result.kept, before + self._kept_after(before, result.read))
        return self._echo() if self._task.echo and self._prompt.done else []

    def _kept_after(self, before: int, read: int) -> int:
        """How many tokens into the call the copy was made; the rule of :meth:`_keep` again."""
        before_last = len(self._prompt.tokens) - 1
        if before < before_last <= before + read:
            return before_last - before
        return (before // BLOCK + 1) * BLOCK - before

    def _put_away(self, state: State, length: int) -> None:
        shared = self._shared
        if shared.caches:
            shared.cache.put(self._task.tenant, self._prompt.tokens[:length], state)
        self._tell_others(state, length)

    def _tell_others(self, state: State, length: int) -> None:
        if self._leads and length == len(self._prompt.tokens) - 1:
            self._shared.before_last = state

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
        returns = self._task.return_state and self._prompt.done
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
            cached_tokens=max(0, self._skipped - 1),  # [END] is not counted as prompt
            seed=self._sampling.seed,
            state=self._sealed(reason, pending) if returns else None,
            final=self._shared.close(),
        )

    def _remember(self, reason: FinishReason) -> None:
        """Keeps the state after the whole text, for a conversation that goes on with it."""
        if reason == "stop" or not self.drawn or not self._shared.caches:
            return
        read = self._drawn_tokens if reason == "end" else self._drawn_tokens[:-1]
        tokens = [*self._prompt.tokens, *read]
        self._shared.cache.put(self._task.tenant, tokens, self._kernel.save(self.row))

    def _sealed(self, reason: FinishReason, pending: bytes) -> str:
        ended = reason == "end"
        snapshot = Snapshot(
            state=self._kernel.save(self.row),
            last=self._tokenizer.end if ended else self._last,
            position=self._position + self.drawn + ended,
            seed=self._sampling.seed,
            choice=self._sampling.choice,
            seen=frozenset(self._seen),
            pending=pending,
        )
        return self._shared.sealer.seal(snapshot)

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

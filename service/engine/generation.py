"""One choice of a Generate task: reads the prompt, draws, decodes, and watches for the end.

Starts from the learned first state, reads [END], then the prompt, then draws until [END], a stop
string or ``max_tokens``. The repetition penalty holds for the tokens of the prompt and those
drawn, [END] left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.tokenizer import Tokenizer
from service.engine.sequence import PromptReader, RowSequence
from service.engine.stopping import StopMatcher
from service.engine.tasks import Echo, Event, Finished, FinishReason, Generate, Token, TokenLogprob
from service.kernel.interface import RowResult, RowWork, Sampling, Scored


class OpenChoices:
    """How many choices of one task have not finished; shared by them."""

    def __init__(self, count: int) -> None:
        self._open = count

    def close(self) -> bool:
        """Counts one as finished; whether it was the last."""
        self._open -= 1
        return self._open == 0


class Choice(RowSequence):
    """``pieces``: the prompt's token ids and their texts; ``sampling`` with the choice set."""

    def __init__(
        self,
        task: Generate,
        sampling: Sampling,
        tokenizer: Tokenizer,
        pieces: Sequence[tuple[int, str]],
        open_choices: OpenChoices,
    ) -> None:
        super().__init__()
        self._task = task
        self._sampling = sampling
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._open_choices = open_choices
        self._prompt = PromptReader([tokenizer.end, *(token for token, _ in pieces)])
        self._scores_prompt = task.echo and task.logprobs is not None
        self._prompt_scores: list[Scored] = []
        self._seen = {token for token, _ in pieces}
        self._last = tokenizer.end
        self._decoder = tokenizer.decoder()
        self._matcher = StopMatcher(task.stop)

    def work(self, steps: int) -> RowWork | None:
        """Up to ``steps`` tokens of the prompt, or of what is drawn."""
        penalised = self._sampling.repetition_penalty != 1.0
        return RowWork(
            row=self.row,
            feed=[self._last] if self._prompt.done else self._prompt.window(steps),
            draw=self._task.max_tokens - self.drawn,
            sampling=self._sampling,
            position=self.drawn,
            seen=self._seen if penalised else (),
            score=self._scores_prompt,
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

    def _read(self, result: RowResult) -> list[Event]:
        self._prompt.read += result.read
        self.prompt_read = max(0, self._prompt.read - 1)
        self._prompt_scores += result.scored
        return self._echo() if self._task.echo and self._prompt.done else []

    def _add(self, scored: Scored) -> list[Event]:
        if scored.token == self._tokenizer.end:
            return [self._finish("end")]
        self._last = scored.token
        self._seen.add(scored.token)
        self.drawn += 1
        text = self._matcher.push(self._decoder.push(scored.token))
        reported = None if self._task.logprobs is None else self._report(scored, None)
        events: list[Event] = [Token(self._sampling.choice, text, reported)]
        if self._matcher.stopped:
            events.append(self._finish("stop"))
        return events

    def _finish(self, reason: FinishReason) -> Finished:
        text = self._matcher.push(self._decoder.flush()) + self._matcher.flush()
        if self._matcher.stopped:
            reason = "stop"
        self.ended_by = reason
        return Finished(
            index=self._sampling.choice,
            reason=reason,
            text=text,
            prompt_tokens=len(self._pieces),
            completion_tokens=self.drawn,
            cached_tokens=0,
            final=self._open_choices.close(),
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

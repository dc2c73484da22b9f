"""The tasks that the engine accepts, and the events that it returns.

Plain data without behavior. A task is submitted under a ticket. Its events carry the same ticket,
in order, and only the last one has ``final`` set. The submitting thread tokenizes the texts.
``client`` identifies the caller by an opaque name: rows and places in the queue are shared fairly
between clients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from service.engine.api.errors import EngineError
from service.kernel.api.interface import FloatArray, Sampling

FinishReason = Literal["end", "length", "stop", "deadline", "drained"]
Prompt = str | tuple[int, ...]


# ---------------------------------------------------------------- tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """What a generated text must be: a whole match of ``regex``, or one of ``choices``.

    ``field``: the name of the field of the request, for errors.
    """

    field: str
    regex: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """Continue a prompt. Events: ``Token`` for the tokens, ``Finished`` for every choice.

    The sequence starts from the learned initial state and reads [END], then the prompt. ``prompt``:
    text, or token ids, which are read as they are, without [END] before them. ``more_prompts``:
    further prompts with the same options. ``n``: the number of choices of each prompt, numbered
    from 0 over all prompts; all start together. The engine sets ``sampling.choice_index`` to the
    choice's number among those of its prompt, and ``sampling.top_logprobs`` to ``logprobs``.
    ``logprobs``: None for none, else the number of alternatives to report with each token (0: the
    token alone). ``echo``: the prompt comes first, as an ``Echo`` event, with log-probabilities if
    ``logprobs`` is set. ``max_tokens`` 0 is allowed with ``echo``.
    ``end``: with logprobs, each generated token carries the log-probability of [END] in its place.
    ``deadline_seconds`` counts from submission. ``detailed``: a ``PromptRead`` event comes first in
    each choice, tokens have ``names``, and with logprobs a generated [END] has an event.

    ``tenant``: the owner of cached prefixes; prefixes of other tenants are never used.
    ``return_state``: ``Finished`` carries the state as a token (n of 1 only). ``state``: such a
    token. The prompt is then read as the continuation, and the token's seed is used unless
    ``seed_is_given``. Without a prompt, the text that a stop string cut off comes first, as
    ``Token`` events that are not counted.

    ``constraint``: tokens are sampled among those from which a text can still satisfy it, with
    their probabilities in proportion. [END] is one of them where the text does. It begins after the
    prompt. With a ``state`` whose text stands inside the same constraint, and without a prompt, it
    goes on there.
    """

    model: str
    client: str = ""
    prompt: Prompt
    more_prompts: tuple[Prompt, ...] = ()
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    n: int = 1
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    echo: bool = False
    end: bool = False
    detailed: bool = False
    deadline_seconds: float | None = None
    tenant: str = ""
    return_state: bool = False
    state: str | None = None
    seed_is_given: bool = True
    constraint: Constraint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Compute the log-probability of every token of each text. Event: one ``TextsScored``.

    ``end``: also that of [END] after each text.
    """

    model: str
    client: str = ""
    texts: tuple[str, ...]
    end: bool = False
    deadline_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextWord:
    """Find the likeliest next whole words after a prompt. Event: one ``NextWordsFound``.

    ``end``: also find the probability of [END]. ``tenant``: as in ``Generate``.
    """

    model: str
    client: str = ""
    prompt: str
    top: int = 10
    end: bool = False
    deadline_seconds: float | None = None
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classify:
    """Classify each text, given as text or as token ids. Event: one ``TextsClassified``.

    ``return_state``: the result carries the state after the text as a token (one text only).
    ``state``: such a token; the text is read as the continuation of that document. ``tenant``: the
    owner of states, if they are bound to keys.
    """

    model: str
    client: str = ""
    texts: tuple[str | tuple[int, ...], ...]
    deadline_seconds: float | None = None
    tenant: str = ""
    return_state: bool = False
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """Compute a vector for each text, given as text or as token ids. Event: one ``TextsEmbedded``.

    A classifier returns the inputs of its MLP: the final hidden states, pooled as in training. A
    language model returns the last layer's hidden state after the text. ``field``: the name of the
    texts in errors.
    """

    model: str
    client: str = ""
    texts: tuple[Prompt, ...]
    field: str = "texts"
    deadline_seconds: float | None = None


Task = Generate | Score | NextWord | Classify | Embed


# ---------------------------------------------------------------- events


class TokenLogprob(NamedTuple):
    """A token's text, its log-probability under the model, and the likeliest alternatives.

    ``end``: the log-probability of [END] in its place, if the task asks for it. ``unknown``:
    whether a scored token is [UNK]. ``names``: of the token and of the alternatives, if the task is
    detailed. A name identifies the token: it has the bytes of a part of a character, and [END].
    ``logprob`` is not a number for the first of given token ids, which has no predecessor.
    """

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    end: float | None = None
    unknown: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptRead:
    """The prompt of choice ``index`` was read; the numbers are those of ``Finished``."""

    final: ClassVar[bool] = False
    index: int
    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Echo:
    """The prompt of one choice, before its first token. ``tokens`` is empty without logprobs."""

    final: ClassVar[bool] = False
    index: int
    text: str
    tokens: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """A token of choice ``index``, or those of one turn.

    ``text`` is the text that may be shown now. It is empty while the text could still become a stop
    string or ends in an incomplete character, and longer than one token when such text is released.
    The texts of a choice join to its whole text. [END] has no event.

    Several tokens of one turn may share an event: ``texts`` then has the text of each, and ``text``
    is their concatenation. It is empty in the event of one token.

    With logprobs, ``token`` is set, and the event is delayed until it is known how much of the
    token's text is shown. ``text`` is that part: all of it, except where a stop string cuts the
    token. Tokens without shown text have no event.
    """

    final: ClassVar[bool] = False
    index: int
    text: str
    token: TokenLogprob | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """Choice ``index`` is complete. ``text`` is text that was withheld and may now be shown; with
    logprobs it comes in ``Token`` events before this one.

    ``prompt_tokens``: of the prompt, without the leading [END], the same in every choice.
    ``completion_tokens``: generated by this choice, without [END]. ``cached_tokens``: tokens of the
    prompt that this choice did not have to read. ``seed``: the seed used. ``state``: the state at
    the end, if requested, and if the reason is "drained": the state that continues the text, None
    if nothing of this choice was sent. ``final``: no other choice of the task is open.
    """

    index: int
    reason: FinishReason
    text: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    seed: int
    state: str | None
    final: bool


@dataclass(frozen=True, slots=True)
class TextLogprobs:
    """The tokens of one text. Their texts join to the text, or to the part that the tokenizer
    keeps.

    ``logprob``: of the whole text, with its end if ``end`` is set: the log-probability of [END].
    ``unknown_tokens``: the number of tokens that are [UNK].
    """

    tokens: tuple[TokenLogprob, ...]
    logprob: float
    unknown_tokens: int
    end: float | None = None


@dataclass(frozen=True, slots=True)
class TextsScored:
    """The result of ``Score``, in the order of the texts."""

    final: ClassVar[bool] = True
    scores: tuple[TextLogprobs, ...]
    prompt_tokens: int


class Word(NamedTuple):
    """A whole word, as shown (without spaces), and its probability.

    ``completion``: the rest of the word, if the prompt ends in its beginning.
    """

    word: str
    probability: float
    completion: str | None = None


@dataclass(frozen=True, slots=True)
class NextWordsFound:
    """The result of ``NextWord``, likeliest first.

    ``covered``: the probability of all words that were found, shown or not. The rest is the end of
    the text, the unknown word, punctuation, and words that the search did not reach. If the prompt
    ends in a space or in a word to complete, probabilities are conditional on that (bpe and word
    tokenizers). ``entropy_bits``: the entropy of the words found, with probabilities scaled to sum
    to 1. ``end``: the probability of [END] after the prompt, if the task asks for it.
    """

    final: ClassVar[bool] = True
    words: tuple[Word, ...]
    covered: float
    entropy_bits: float
    prompt_tokens: int
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Classification:
    """Calibrated probabilities in the order of the artifact's answers; they sum to 1.

    ``token_count``: tokens that were read for this task. ``unknown_tokens``: those of them that are
    [UNK]. ``truncated``: the text had more tokens. ``state``: the document's state, if asked for.
    """

    probabilities: tuple[float, ...]
    token_count: int
    unknown_tokens: int
    truncated: bool
    state: str | None = None


@dataclass(frozen=True, slots=True)
class TextsClassified:
    """The result of ``Classify``, in the order of the texts.

    ``labels``: of the probabilities. ``thresholds``: of a multi-label model, the probability from
    which a text has each label; None for a model that gives one label to a text.
    """

    final: ClassVar[bool] = True
    results: tuple[Classification, ...]
    labels: tuple[str, ...]
    thresholds: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector of float32. ``token_count``: tokens that were read. ``truncated``: the text had
    more tokens.
    """

    values_F: FloatArray
    token_count: int
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class TextsEmbedded:
    """The result of ``Embed``, in the order of the texts."""

    final: ClassVar[bool] = True
    results: tuple[Embedding, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The task ended without its result, or without the rest of it."""

    final: ClassVar[bool] = True
    error: EngineError


Event = (
    PromptRead
    | Echo
    | Token
    | Finished
    | TextsScored
    | NextWordsFound
    | TextsClassified
    | TextsEmbedded
    | Failed
)

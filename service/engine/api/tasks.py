"""What can be asked of the engine, and the events it answers with.

Plain data, no behavior. A task is submitted under a ticket; its events come back under the
same ticket, in order, and exactly one of them, the last, has ``final`` set. Texts are
tokenized in the thread that submits. ``client``: who asks, as an opaque name; rows and places in
the queue are shared fairly between clients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from service.engine.api.errors import EngineError
from service.kernel.api.interface import Sampling

FinishReason = Literal["end", "length", "stop", "deadline"]


# ---------------------------------------------------------------- tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """Continue a prompt. Events: ``Token`` for every token, ``Finished`` for every choice.

    The sequence starts from the learned first state, reads [END], then the prompt. ``prompt``:
    text, or token ids. ``n``: how many choices are drawn, numbered from 0; all start together.
    ``sampling.choice`` and ``sampling.top_logprobs`` are set by the engine from the choice's
    index and from ``logprobs``. ``logprobs``: None for none, else how many alternatives to
    report with each token (0: the token alone). ``echo``: the prompt comes first, as an
    ``Echo`` event, with log-probabilities if ``logprobs`` is set. ``max_tokens`` 0 is allowed
    with ``echo``. ``deadline_seconds`` counts from submission.

    ``tenant``: whose earlier texts need not be read again; nobody else's are ever used.
    ``return_state``: ``Finished`` carries the state as a token (n of 1 only). ``state``: such a
    token; the prompt is then read as the continuation, and the token's seed is used unless
    ``seed_is_given``. Without a prompt, what a stop string has cut off comes first, as ``Token``
    events that are not counted.
    """

    model: str
    client: str = ""
    prompt: str | tuple[int, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    n: int = 1
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    echo: bool = False
    deadline_seconds: float | None = None
    tenant: str = ""
    return_state: bool = False
    state: str | None = None
    seed_is_given: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The log-probability of every token of each text. Answered by one ``TextsScored``."""

    model: str
    client: str = ""
    texts: tuple[str, ...]
    deadline_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextWord:
    """The likeliest next whole words after a prompt. Answered by one ``NextWordsFound``.

    ``tenant``: as in ``Generate``.
    """

    model: str
    client: str = ""
    prompt: str
    top: int = 10
    deadline_seconds: float | None = None
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classify:
    """The label of each text, or of its token ids. Answered by one ``TextsClassified``."""

    model: str
    client: str = ""
    texts: tuple[str | tuple[int, ...], ...]
    deadline_seconds: float | None = None


Task = Generate | Score | NextWord | Classify


# ---------------------------------------------------------------- events


class TokenLogprob(NamedTuple):
    """A token's text with its log-probability under the model, and the likeliest alternatives."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Echo:
    """The prompt of one choice, before its first token. ``tokens`` is empty without logprobs."""

    final: ClassVar[bool] = False
    index: int
    text: str
    tokens: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """One token was drawn for choice ``index``.

    ``text`` is what may now be shown: empty while it could still turn into a stop string or is
    half a character, more than one token's worth when a hold is lifted. The texts of a choice
    join to its whole text. [END] makes no event.

    When logprobs were asked for, ``token`` is set and the event waits until it is settled how much
    of the token's text is shown. ``text`` is that part: all of it, except where a stop string has
    cut the token. Tokens of which nothing is shown make no event.
    """

    final: ClassVar[bool] = False
    index: int
    text: str
    token: TokenLogprob | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """Choice ``index`` is complete. ``text`` is what was held back and may now be shown; with
    logprobs that comes as ``Token`` events before this one.

    ``prompt_tokens``: of the prompt, without the [END] it is started with, and the same in
    every choice. ``completion_tokens``: drawn by this choice, [END] not counted.
    ``cached_tokens``: of the prompt's, those that were not read again by this choice. ``seed``:
    what it drew with. ``state``: where it stopped, if that was asked for.
    ``final``: no other choice of the task is still open.
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
class TextScore:
    """One text's tokens. Their texts join to the text (to what is kept of it, if not lossless).

    ``unknown_tokens``: how many of them the model knows only as [UNK].
    """

    tokens: tuple[TokenLogprob, ...]
    logprob: float
    unknown_tokens: int


@dataclass(frozen=True, slots=True)
class TextsScored:
    """The answer to ``Score``, in the order of the texts."""

    final: ClassVar[bool] = True
    scores: tuple[TextScore, ...]
    prompt_tokens: int


class Word(NamedTuple):
    """A whole word, as shown (spaces stripped), and its probability."""

    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class NextWordsFound:
    """The answer to ``NextWord``, likeliest first.

    ``covered``: the probability of all words that were found, whether shown or not; the rest
    is the end of the text, the unknown word, punctuation, and what the search did not reach.
    Where the prompt ends in a space or inside a word, probabilities are given that (bpe, word).
    ``entropy_bits``: of the words found, their probabilities scaled to sum to 1.
    """

    final: ClassVar[bool] = True
    words: tuple[Word, ...]
    covered: float
    entropy_bits: float
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Classification:
    """Calibrated probabilities in the order of the artifact's answers; they sum to 1.

    ``token_count``: tokens that were read. ``truncated``: the text had more.
    """

    probabilities: tuple[float, ...]
    token_count: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class TextsClassified:
    """The answer to ``Classify``, in the order of the texts."""

    final: ClassVar[bool] = True
    results: tuple[Classification, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The task ended without (the rest of) its answer."""

    final: ClassVar[bool] = True
    error: EngineError


Event = Echo | Token | Finished | TextsScored | NextWordsFound | TextsClassified | Failed

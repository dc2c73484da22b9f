"""Compiles the constraints of one model, and keeps the ones that were used last. Thread-safe."""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict

from model.tokenization.tokenizer import Tokenizer
from service.engine.api.errors import ConstraintMemoryFull, InvalidConstraint
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Constraint
from service.engine.constraints.byte_automaton import (
    InvalidPatternError,
    TooComplexError,
    of_choices,
    of_regex,
)
from service.engine.constraints.token_index import CompilationBudget, TokenTexts, token_automaton
from service.kernel.api.token_automaton import TokenAutomaton, TokenBytes

RETRY_SECONDS = 1.0
_SIMPLER_CHOICES = "send fewer or shorter ones"
_SIMPLER_REGEX = r"lower its counts, or use [a-z] and [0-9] for \w and \d, which have all alphabets"
_WORD_HINT = "most words of a word model begin with the space before them"
_Key = tuple[str | None, tuple[str, ...]]


class ConstraintCompiler:
    """Token automata of constraints, within ``options.constraint_bytes`` in all, those of open
    requests included.
    """

    def __init__(self, tokenizer: Tokenizer, options: EngineOptions) -> None:
        self._tokenizer = tokenizer
        self._options = options
        self._texts: TokenTexts | None = None  # made for the first constraint
        self._lock = threading.Lock()  # guards the fields below
        self._kept: OrderedDict[_Key, TokenAutomaton] = OrderedDict()  # used last at the end
        self._living: weakref.WeakSet[TokenAutomaton] = weakref.WeakSet()

    def knows(self, constraint: Constraint) -> bool:
        """Whether :meth:`compile` returns without compiling."""
        return self._find(constraint) is not None

    def compile(self, constraint: Constraint) -> TokenAutomaton:
        """The automaton of a constraint. It may take ``options.pattern_seconds``.

        Raises:
            InvalidConstraint: it is not valid, too long or too complex, or the model's tokens
                cannot satisfy it.
            ConstraintMemoryFull: open requests use too much memory for theirs.
            ConstraintsUnavailable: see there.
        """
        automaton = self._find(constraint)
        if automaton is None:
            automaton = self._compile(constraint)
            self._keep(constraint, automaton)
        return automaton

    def _find(self, constraint: Constraint) -> TokenAutomaton | None:
        key = _key(constraint)
        with self._lock:
            automaton = self._kept.get(key)
            if automaton is not None:
                self._kept.move_to_end(key)
            return automaton

    def _compile(self, constraint: Constraint) -> TokenAutomaton:
        field, options = constraint.field, self._options
        length = sum(len(text.encode()) for text in (constraint.regex or "", *constraint.choices))
        if length > options.pattern_bytes:
            raise InvalidConstraint(
                field, f"expected at most {options.pattern_bytes} bytes, got {length}"
            )
        texts = self._token_texts()
        for index, choice in enumerate(constraint.choices):
            if not texts.can_spell(choice.encode()):
                raise InvalidConstraint(
                    f"{field}.{index}",
                    f"this model's vocabulary cannot spell {choice[:80]!r}; {_WORD_HINT}",
                )
        try:
            budget = CompilationBudget(
                time.monotonic() + options.pattern_seconds, options.constraint_bytes
            )
            if constraint.regex is None:
                automaton = of_choices(constraint.choices)
            else:
                automaton = of_regex(constraint.regex, options.pattern_seconds)
            compiled = token_automaton(automaton, texts, budget)
        except InvalidPatternError as error:
            raise InvalidConstraint(field, f"not a regular expression: {error}") from error
        except TooComplexError:
            remedy = _SIMPLER_CHOICES if constraint.regex is None else _SIMPLER_REGEX
            raise InvalidConstraint(
                field, f"too complex: it takes too much time or memory to compile; {remedy}"
            ) from None
        if compiled is None:
            raise InvalidConstraint(
                field,
                f"this model's vocabulary spells no text that matches the whole; {_WORD_HINT}",
            )
        return compiled

    def _keep(self, constraint: Constraint, automaton: TokenAutomaton) -> None:
        most = self._options.constraint_bytes
        with self._lock:
            self._living.add(automaton)
            self._kept[_key(constraint)] = automaton
            while len(self._kept) > 1 and self._nbytes > most:
                self._kept.popitem(last=False)
            if self._nbytes > most:
                del self._kept[_key(constraint)]
                raise ConstraintMemoryFull(RETRY_SECONDS)

    @property
    def _nbytes(self) -> int:
        return sum(automaton.nbytes for automaton in self._living)

    def _token_texts(self) -> TokenTexts:
        if self._texts is None:
            tokenizer = self._tokenizer
            tokens = TokenBytes.of([tokenizer.bytes_of(token) for token in range(tokenizer.size)])
            self._texts = TokenTexts(tokens, tokenizer.end, tokenizer.suppressed)
        return self._texts


def _key(constraint: Constraint) -> _Key:
    return constraint.regex, constraint.choices

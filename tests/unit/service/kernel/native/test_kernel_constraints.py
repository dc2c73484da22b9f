"""Constrained rows of every kernel against the naive loop, and beside other rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from model.networks import LanguageModel
from service.kernel.api.interface import InvalidWork, RowWork, Sampling
from service.kernel.api.token_automaton import TokenAutomaton
from tests.support.service.constraints import constraint_of
from tests.support.service.reference import NaiveReader, naive_draw, random_network
from tests.unit.service.kernel.native.test_kernel import (
    ADAPTIVE,
    END,
    KINDS,
    NATIVE,
    VOCABULARY,
    Kind,
    each_kind,
    each_softmax,
)

TOKENS = [b"[UNK]", *(bytes([97 + index]) for index in range(26)), b"ab", b"cd", b""]
PROMPT = [END, 4, 7, 2]
MOST = 12
SAMPLINGS = {
    "greedy": Sampling(temperature=0.0),
    "plain": Sampling(seed=3),
    "hot": Sampling(temperature=1.8, seed=4),
    "top_k": Sampling(top_k=3, seed=5),
    "top_p": Sampling(top_p=0.6, seed=6),
    "min_p": Sampling(min_p=0.3, seed=7),
    "all at once": Sampling(
        temperature=1.3,
        top_k=9,
        top_p=0.9,
        min_p=0.02,
        repetition_penalty=1.4,
        presence_penalty=0.5,
        frequency_penalty=0.4,
        logit_bias=((0, 100.0), (5, 3.0), (END, -2.0)),
        seed=8,
        choice_index=2,
    ),
}


def automaton(regex: str) -> TokenAutomaton:
    """A constraint that the tokens can satisfy."""
    compiled = constraint_of(regex, TOKENS, END, {0})
    assert compiled is not None
    return compiled


def expected_tokens(
    network: LanguageModel, constraint: TokenAutomaton, sampling: Sampling
) -> list[int]:
    """The naive loop, which draws among the allowed tokens with probabilities in proportion."""
    reader = NaiveReader(network)
    for token in PROMPT:
        logits_V = reader.read(token)
    seen, generated, state = set(PROMPT[1:]), list[int](), 0
    while len(generated) < MOST and generated[-1:] != [END]:
        excluded = [0, *(~constraint.allowed(state)).nonzero()[0].tolist()]
        logits = logits_V.double().tolist()
        position, counts = len(generated), Counter(generated)
        token = naive_draw(logits, sampling, position, seen, excluded, counts)
        generated.append(token)
        seen.add(token)
        state = constraint.after(state, [token])
        if token != END:
            logits_V = reader.read(token)
    return generated


def work(constraint: TokenAutomaton | None, sampling: Sampling, row: int = 0) -> RowWork:
    """The work of a whole text."""
    return RowWork(
        row=row,
        feed=PROMPT,
        sample=MOST,
        sampling=sampling,
        seen=PROMPT[1:],
        constraint=constraint,
    )


@pytest.mark.parametrize("kind", KINDS[:2])
@each_softmax
@pytest.mark.parametrize("name", SAMPLINGS)
def test_tokens_are_those_of_the_naive_loop(kind: Kind, softmax: dict[str, Any], name: str) -> None:
    """In one burst, with every option: sampling is exact among the tokens that are allowed."""
    network = random_network("gru", 1, vocabulary=VOCABULARY, **softmax)
    for regex in ("(ab|cd|[f-k]){2,9}z?", "a*b", ".*[xyz]", "(a|b|cd){3}"):
        kernel = kind.make(network)
        kernel.open(0)
        constraint = automaton(regex)
        (result,) = kernel.run([work(constraint, SAMPLINGS[name])], 64)
        assert result.tokens == expected_tokens(network, constraint, SAMPLINGS[name])


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_burst_can_be_cut_anywhere(kind: Kind) -> None:
    """Calls of one token, each from the state of the one before, give the tokens of one burst."""
    network = random_network("lstm", 1, **ADAPTIVE)
    constraint, sampling = automaton("(ab|[c-m]){30}"), Sampling(seed=9)
    kernel = kind.make(network)
    kernel.open(0)
    (whole,) = kernel.run([work(constraint, sampling)], 64)
    kernel.open(1)
    tokens: list[int] = []
    feed = PROMPT
    for position in range(MOST):
        one = replace(work(constraint, sampling, row=1), feed=feed, sample=1, position=position)
        one.constraint_state = constraint.after(0, tokens)
        (result,) = kernel.run([one], 8)
        tokens += result.tokens
        feed = result.tokens
    assert tokens == whole.tokens


@each_kind
@each_softmax
def test_other_rows_keep_their_bits(kind: Kind, softmax: dict[str, Any]) -> None:
    """A row without a constraint has the same tokens and log-probabilities beside one with it, and
    the constrained row the same as alone.
    """
    network = random_network("gru", 2, **softmax)
    free, bound = Sampling(seed=1), Sampling(seed=2)
    constraint = automaton("(ab|cd)*z")
    kernel = kind.make(network)
    results = []
    for rows in ([0], [1], [0, 1]):
        for row in rows:
            kernel.open(row)
        jobs = [work(None, free, 0), work(constraint, bound, 1)]
        results.append(kernel.run([jobs[row] for row in rows], 64))
    assert results[2] == [*results[0], *results[1]]


@each_kind
def test_impossible_constraints_are_refused(kind: Kind) -> None:
    """A state that the constraint does not have, and a constraint for other tokens."""
    kernel = kind.make(random_network("gru", 1))
    other = constraint_of("a", [b"a", b""], 1)
    for refused in (
        replace(work(automaton("ab"), Sampling()), constraint_state=17),
        replace(work(automaton("ab"), Sampling()), constraint_state=-1),
        work(other, Sampling()),
    ):
        with pytest.raises(InvalidWork, match="constraint"):
            kernel.run([refused], 1)


def test_a_constraint_lives_as_long_as_its_work() -> None:
    """The native structures of constraints that are gone are freed, and addresses are not mixed
    up.
    """
    kernel = NATIVE.make(random_network("gru", 1))
    for letter in "abcdefgh" * 4:
        kernel.open(0)
        (result,) = kernel.run([work(automaton(letter), Sampling())], 64)
        assert [TOKENS[token] for token in result.tokens] == [letter.encode(), b""]

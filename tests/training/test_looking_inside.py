"""Excerpts, effective context, saturation, brief training: the parts of the gradients command."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from model.architecture import LanguageModelArchitecture
from model.networks import LanguageModel
from model.tokenizer_training import train_char_tokenizer, train_word_tokenizer
from training.brief_training import BriefSettings, train_briefly
from training.corpus import build_stream
from training.demonstration_text import NAMES, demonstration_text
from training.effective_context import Context, context_lengths, effective_context
from training.excerpts import Excerpts, ExcerptSource
from training.exploding_gradients import clipping_courses
from training.gate_saturation import gate_saturation
from training.inspected_networks import hidden_states
from training.readers import DataError

TEXT = demonstration_text(2000, seed=1)
WORDS = train_word_tokenizer([TEXT], vocabulary=None, pretokenized=True)


def network(cell: str = "lstm", scale: float = 0.5) -> LanguageModel:
    """A small one over the words of the text."""
    torch.manual_seed(1)
    model = LanguageModel(
        LanguageModelArchitecture(
            cell=cell,  # type: ignore[arg-type]
            vocabulary=WORDS.size,
            embedding=6,
            hidden=8,
            layers=2,
        )
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=scale)
    return model


def source(length: int = 16) -> ExcerptSource:
    """Of the text."""
    return ExcerptSource(build_stream([TEXT], WORDS), length=length, named="x", options="--length")


def draw(length: int = 16, rows: int = 8, seed: int = 1) -> Excerpts:
    """Some excerpts."""
    return source(length).draw(rows, np.random.default_rng(seed))


def test_excerpts_lie_within_documents_and_open_with_end() -> None:
    """Every place that is long enough is drawn, no other."""
    letters = train_char_tokenizer(["abcdefgh"], vocabulary=None, minimum_count=1)
    stream = build_stream(["abc", "defgh", "a"], letters)
    found = ExcerptSource(stream, length=3, named="x", options="--lags").draw(
        200, np.random.default_rng(1)
    )
    texts = {letters.decode(tokens_T.tolist()) for tokens_T in found.targets_TB.T}
    assert texts == {"abc", "def", "efg", "fgh"}
    assert (found.inputs_TB[0] == letters.end).all()
    assert torch.equal(found.inputs_TB[1:], found.targets_TB[:-1])
    shorter = found.last(2)
    assert torch.equal(shorter.targets_TB, found.targets_TB[1:])
    assert (shorter.inputs_TB[0] == letters.end).all()
    assert torch.equal(shorter.inputs_TB[1], found.inputs_TB[2])


def test_documents_that_are_too_short_are_refused() -> None:
    """With what there is, what is needed and which option to lower."""
    stream = build_stream(["the cat", "the old dog"], WORDS)
    with pytest.raises(DataError, match=r"x: the longest document has 3 tokens, 4 .* lower --lags"):
        ExcerptSource(stream, length=4, named="x", options="--lags")


def test_speakers_are_named_at_both_ends() -> None:
    """So there is something to remember; the seed decides the text."""
    assert demonstration_text(50, seed=1) == demonstration_text(50, seed=1)
    assert demonstration_text(50, seed=1) != demonstration_text(50, seed=2)
    for speech in demonstration_text(500, seed=3).removesuffix(" .").split(" . "):
        words = speech.split()
        assert words[0] in NAMES
        assert words[-3:] == [",", "says", words[0]]


def test_context_lengths_end_with_the_longest() -> None:
    """They are closer together where more happens."""
    assert context_lengths(1) == [1]
    assert context_lengths(12) == [1, 2, 3, 5, 7, 10, 12]
    assert context_lengths(150) == [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150]


def test_a_network_that_does_not_listen_uses_no_context() -> None:
    """Its loss is the same however much it is given."""
    model = network("elman")
    with torch.no_grad():
        model.output.weight.zero_()
    shares = list[float]()
    found = effective_context(model, draw(21), shares.append)
    assert found.excesses == pytest.approx([0.0] * len(found.tokens), abs=1e-7)
    assert found.tokens[-1] == 20
    assert found.needed(0.01) == 1
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_losses_are_those_of_reading_the_last_tokens_alone() -> None:
    """From [END] on, each excerpt by itself."""
    model, read = network(), draw(21, rows=3)
    found = effective_context(model, read, lambda _: None)
    with torch.no_grad():
        for place, tokens in enumerate(found.tokens):
            losses = []
            for row in range(3):
                given = [WORDS.end, *read.targets_TB[-1 - tokens : -1, row].tolist()]
                logits_1V = model.logits(hidden_states(model, torch.tensor([given]).T)[-1])
                losses.append(-logits_1V.log_softmax(1)[0, read.targets_TB[-1, row]])
            assert found.losses[place] == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)
    assert found.excesses[-1] == 0.0
    assert found.errors[-1] == 0.0
    assert found.errors[0] > 0.0


def test_the_context_needed_is_where_the_loss_stays_low() -> None:
    """Not where it is low by chance."""
    found = Context([1, 2, 5, 10], [3.0] * 4, [0.5, 0.005, 0.02, 0.0], [0.1] * 4)
    assert found.needed(0.01) == 10
    assert found.needed(0.03) == 2
    assert found.needed(1.0) == 1


def test_gates_that_cannot_move_are_always_shut_or_always_open() -> None:
    """By their biases alone; torch's order is input, forget, cell, output."""
    model = network(scale=0.0)
    with torch.no_grad():
        bias_G = getattr(model.recurrent, "bias_ih_l1")  # noqa: B009 - made by torch
        bias_G[:8] = -5.0
        bias_G[8:12] = 5.0
    layers = gate_saturation(model, draw(rows=40))
    assert len(layers) == 2
    for gate in layers[0].values():
        assert gate.shut == gate.open == [0.0] * 8
    assert layers[1]["input"].shut == pytest.approx([1.0] * 8)
    assert layers[1]["forget"].open == pytest.approx([1.0] * 4 + [0.0] * 4)
    assert layers[1]["output"].open == [0.0] * 8
    assert gate_saturation(network("elman"), draw()) == [{}, {}]


def test_brief_training_learns_and_tells_every_step() -> None:
    """The seed decides its course."""
    settings = BriefSettings(steps=40, batch=8, learning_rate=0.02, clip_norm=1.0, seed=1)
    told = list[float]()
    course = train_briefly(network(), source(), settings, told.append)
    assert told == course.losses
    assert len(course.norms) == 40
    assert np.mean(course.losses[-5:]) < np.mean(course.losses[:5]) - 0.5
    assert train_briefly(network(), source(), settings, told.append) == course


def test_the_ways_of_clipping_begin_alike_and_bound_their_steps() -> None:
    """Each from the same weights; the norm told is that before clipping; a wild run breaks off."""
    settings = BriefSettings(
        steps=6,
        batch=8,
        learning_rate=1e30,
        optimiser="sgd",
        clip_norm=1e-33,
        clip_value=1e-33,
        seed=1,
    )
    courses = clipping_courses(network("elman"), source(), settings, lambda _: None)
    assert list(courses) == ["none", "norm", "value"]
    firsts = {(course.losses[0], course.norms[0]) for course in courses.values()}
    assert len(firsts) == 1
    assert len(courses["none"].losses) < 6
    for way in ("norm", "value"):
        assert len(courses[way].losses) == 6
        assert courses[way].losses[-1] == pytest.approx(courses[way].losses[0], abs=0.5)

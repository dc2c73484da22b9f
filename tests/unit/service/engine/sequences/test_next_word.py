"""Next words against enumeration by brute force."""

from __future__ import annotations

import copy
import math
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from model.artifact import Artifact, load_artifact, save_artifact
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer, TokenizerKind
from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from service.engine.api.tasks import Generate, NextWord, NextWordsFound, Token
from service.engine.runners.engine import EngineOptions
from service.engine.runners.language_model import PRIORITY_STEPS
from service.engine.sequences.word_boundaries import WordStart, find_word_start
from service.kernel.api.interface import Sampling
from tests.support.service.engine_client import language_model, serving
from tests.support.service.reference import NaiveReader, random_network

ONE_WORD = re.compile(r"[A-Za-z0-9_]+(?:['-][A-Za-z0-9_]+)*")
SMALLEST = 1e-5


def sharp_model(directory: Path, tokenizer: Tokenizer, sharpness: float) -> Artifact:
    """A random network whose distributions are peaked enough for words to stand out."""
    network = random_network("gru", 1, vocabulary=tokenizer.size, seed=2)
    with torch.no_grad():
        network.output.weight *= sharpness
        for token in range(tokenizer.size):
            if not tokenizer.bytes_of(token).isascii():
                network.output.bias[token] = -100.0
    save_artifact(
        directory, network=network, tokenizer=tokenizer, name="m", provenance={}, metrics={}
    )
    return load_artifact(directory)


def ask(artifact: Artifact, prompt: str, top: int, *, end: bool = False) -> NextWordsFound:
    """One question to an engine of its own."""
    options = EngineOptions(threads=1, rows=32, search_rows=32, search_expansions=2500)
    with serving({"m": artifact}, options) as served:
        (found,) = served.ask(NextWord(model="m", prompt=prompt, top=top, end=end))
    assert isinstance(found, NextWordsFound)
    return found


class Spelt(NamedTuple):
    """A text after the context, its probability, and what has read all of it but ``token``."""

    text: bytes
    probability: float
    reader: NaiveReader
    token: int
    ended: bool = False


class BruteForce:
    """Follows every token sequence until its word is over; stops below SMALLEST."""

    def __init__(self, artifact: Artifact, start: WordStart) -> None:
        assert isinstance(artifact.network, LanguageModel)
        self.words: dict[str, float] = defaultdict(float)
        self._tokenizer = artifact.tokenizer
        reader = NaiveReader(artifact.network)
        tokens = [self._tokenizer.end, *self._tokenizer.encode(start.context)]
        for token in tokens[:-1]:
            reader.read(token)
        root = Spelt(start.known.encode(), 1.0, reader, tokens[-1])
        required = (start.known + start.required).encode()
        begun = self._spell(root, required) if start.required else [root]
        self.possible = sum(path.probability for path in begun)
        self.end = sum(
            longer.probability
            for path in begun
            if path.text == required
            for longer in self._longer(path)
            if longer.ended
        )
        for path in begun:
            self._settle(path)

    def _spell(self, path: Spelt, required: bytes) -> list[Spelt]:
        """All ways to spell at least the required text."""
        found = []
        for longer in self._longer(path):
            if longer.ended:
                continue
            if longer.text.startswith(required):
                found.append(longer)
            elif required.startswith(longer.text):
                found += self._spell(longer, required)
        return found

    def _settle(self, path: Spelt) -> None:
        """Count a path whose word is over, and follow one that may continue."""
        text = path.text.decode(errors="replace").lstrip()
        match = ONE_WORD.match(text)
        rest = "" if match is None else text[match.end() :]
        if match is not None and (path.ended or rest not in ("", "'", "-")):
            self.words[match.group()] += path.probability
        elif path.ended or (match is None and text):
            return  # the end, or something that is no word
        elif path.probability > SMALLEST * self.possible:
            for longer in self._longer(path):
                self._settle(longer)

    def _longer(self, path: Spelt) -> list[Spelt]:
        reader = copy.copy(path.reader)
        shares = torch.softmax(reader.read(path.token).double(), dim=0).tolist()
        return [
            Spelt(
                path.text + self._tokenizer.bytes_of(token),
                path.probability * share,
                reader,
                token,
                ended=token == self._tokenizer.end,
            )
            for token, share in enumerate(shares)
            if token not in self._tokenizer.suppressed and share > 1e-9
        ]


@pytest.mark.parametrize("prompt", ["ab", "ab ", "a b-", "b."])
def test_a_char_model_finds_the_words_that_brute_force_finds(tmp_path: Path, prompt: str) -> None:
    """On a tiny vocabulary every word has its exact probability, unfinished words included."""
    tokenizer = train_char_tokenizer(["ab ab-ba. b'a"])
    artifact = sharp_model(tmp_path / "m", tokenizer, 1.0)
    start = find_word_start(prompt, tokenizer.kind)
    brute = BruteForce(artifact, start)
    found = ask(artifact, prompt, 10_000, end=True)
    _agree(found, brute.words, brute.possible)
    assert found.end == pytest.approx(brute.end / brute.possible, rel=1e-3, abs=1e-9)
    typed = start.typed
    assert {word.completion for word in found.words} == {
        word.word[len(typed) :] if typed else None for word in found.words
    }


@pytest.mark.parametrize("prompt", ["the ke", "the ", "don't", ""])
def test_a_bpe_model_sums_over_the_ways_to_spell(tmp_path: Path, prompt: str) -> None:
    """A word has the summed probability of all its spellings, given the text so far."""
    tokenizer = train_bpe_tokenizer(
        ["the keys to the cabinet don't keep the key " * 3], vocabulary=278
    )
    artifact = sharp_model(tmp_path / "m", tokenizer, 7.0)
    start = find_word_start(prompt, tokenizer.kind)
    brute = BruteForce(artifact, start)
    found = ask(artifact, prompt, 10_000, end=True)
    _agree(found, brute.words, brute.possible)
    assert found.end == pytest.approx(brute.end / brute.possible, rel=1e-3, abs=1e-9)
    typed = start.typed
    assert {word.completion for word in found.words} == {
        word.word[len(typed) :] if typed else None for word in found.words
    }


def _agree(found: NextWordsFound, exact: dict[str, float], possible: float) -> None:
    """The same words with the same probabilities, except for words too unlikely to follow."""
    probabilities = {word.word: word.probability for word in found.words}
    assert exact
    for word, mass in exact.items():
        probability = mass / possible
        if probability > 3e-3:
            assert probabilities[word] == pytest.approx(probability, abs=2e-3, rel=0.02)
    assert found.covered == pytest.approx(sum(probabilities.values()))
    assert found.covered <= 1.0
    order = [word.probability for word in found.words]
    assert order == sorted(order, reverse=True)


def test_the_best_words_are_the_same_when_few_are_asked_for(tmp_path: Path) -> None:
    """Stopping as soon as no other word can be likelier does not change the answer."""
    artifact = sharp_model(tmp_path / "m", train_char_tokenizer(["ab ab-ba. b'a"]), 1.0)
    everything, few = ask(artifact, "a ", 10_000), ask(artifact, "a ", 4)
    assert [word.word for word in few.words] == [word.word for word in everything.words[:4]]
    assert few.covered < everything.covered
    assert few == ask(artifact, "a ", 4)


def test_the_end_does_not_depend_on_the_number_of_words(tmp_path: Path) -> None:
    """The search reads the spellings of the prompt first, so that P([END]) is complete."""
    tokenizer = train_bpe_tokenizer(
        ["the keys to the cabinet don't keep the key " * 3], vocabulary=278
    )
    artifact = sharp_model(tmp_path / "m", tokenizer, 7.0)
    brute = BruteForce(artifact, find_word_start("the ke", tokenizer.kind))
    found = ask(artifact, "the ke", 1, end=True)
    assert found.end == pytest.approx(brute.end / brute.possible, rel=1e-3, abs=1e-12)
    assert found.end is not None
    assert found.end > 0.0
    assert ask(artifact, "the ke", 1).end is None


@pytest.mark.parametrize(
    ("prompt", "context", "after_space"),
    [("The keys", "The keys", False), ("The keys ", "The keys", True), ("the,", "the,", False)],
)
def test_a_word_model_gives_the_exact_distribution(
    tmp_path: Path, prompt: str, context: str, after_space: bool
) -> None:
    """Every word that may follow, from one softmax; [UNK], [END] and marks only in ``covered``."""
    tokenizer = train_word_tokenizer(
        ["The keys to the cabinet, the keys\nkeys (are)"], vocabulary=None
    )
    artifact = sharp_model(tmp_path / "m", tokenizer, 1.0)
    assert isinstance(artifact.network, LanguageModel)
    reader = NaiveReader(artifact.network)
    for token in [tokenizer.end, *tokenizer.encode(context)]:
        logits_V = reader.read(token)
    shares = torch.softmax(logits_V.double(), dim=0).tolist()
    texts = [tokenizer.text_of(token) for token in range(tokenizer.size)]
    spaced = sum(share for text, share in zip(texts, shares, strict=True) if text[:1] == " ")
    exact: dict[str, float] = defaultdict(float)
    for token, text in enumerate(texts):
        word = text.strip()
        inside = context[-1].isalnum() and not text[:1].isspace()
        if token in {0, tokenizer.end} or not any(map(str.isalnum, word)) or inside:
            continue
        if not after_space or text[0] == " ":
            exact[word] += shares[token] / (spaced if after_space else 1.0)
    found = ask(artifact, prompt, 100)
    assert {word.word: word.probability for word in found.words} == pytest.approx(exact, abs=1e-6)
    assert found.covered == pytest.approx(sum(exact.values()), abs=1e-6)
    shares = [mass / found.covered for mass in exact.values()]
    assert found.entropy_bits == pytest.approx(-sum(p * math.log2(p) for p in shares), abs=1e-4)
    assert found.prompt_tokens == len(tokenizer.encode(context))


WORDS = "The United States, the University and the Union\nUniversity don't see well-known units"


@pytest.mark.parametrize(
    ("prompt", "context", "begun"),
    [
        ("The Uni", "The", {"United", "University", "Union"}),
        ("and the Univ", "and the", {"University"}),
        ("Uni", "", {"University"}),
        ("The don'", "The", {"don't"}),
        ("The well-kn", "The", {"well-known"}),
    ],
)
def test_a_word_model_completes_a_half_typed_word(
    tmp_path: Path, prompt: str, context: str, begun: set[str]
) -> None:
    """The words that begin so, by their probability among these, as a following token."""
    tokenizer = train_word_tokenizer([WORDS], vocabulary=None)
    artifact = sharp_model(tmp_path / "m", tokenizer, 1.0)
    assert isinstance(artifact.network, LanguageModel)
    reader = NaiveReader(artifact.network)
    for token in [tokenizer.end, *tokenizer.encode(context)]:
        logits_V = reader.read(token)
    probabilities_V = torch.softmax(logits_V.double(), dim=0).tolist()
    space = " " if context else ""
    exact = {word: probabilities_V[tokenizer.encode(space + word)[0]] for word in begun}
    found = ask(artifact, prompt, 100, end=True)
    total = sum(exact.values())
    assert {word.word: word.probability for word in found.words} == pytest.approx(
        {word: probability / total for word, probability in exact.items()}, rel=1e-4
    )
    typed = prompt.removeprefix(context).strip()
    assert all(typed + str(word.completion) == word.word for word in found.words)
    assert found.covered == pytest.approx(1.0)
    assert found.end == 0.0


@pytest.mark.parametrize("prompt", ["The United", "The Zyz", "the Union and", "The uni", "the."])
def test_a_word_model_completes_no_other_word(tmp_path: Path, prompt: str) -> None:
    """After a word of the vocabulary, a word that none begins with, and a mark come next words."""
    tokenizer = train_word_tokenizer([WORDS.replace(" units", "")], vocabulary=None)
    found = ask(sharp_model(tmp_path / "m", tokenizer, 1.0), prompt, 100)
    assert {"the", "United", "don't"} <= {word.word for word in found.words}
    assert all(word.completion is None for word in found.words)


def test_a_word_model_gives_the_probability_of_the_end(tmp_path: Path) -> None:
    """P([END]) comes from the same softmax, and only if it is asked for."""
    artifact = sharp_model(tmp_path / "m", train_word_tokenizer([WORDS], vocabulary=None), 1.0)
    assert isinstance(artifact.network, LanguageModel)
    reader = NaiveReader(artifact.network)
    for token in [artifact.tokenizer.end, *artifact.tokenizer.encode("The Union")]:
        logits_V = reader.read(token)
    exact = torch.softmax(logits_V.double(), dim=0)[artifact.tokenizer.end].item()
    assert ask(artifact, "The Union", 3, end=True).end == pytest.approx(exact, rel=1e-4)
    assert ask(artifact, "The Union", 3).end is None


@pytest.mark.parametrize(
    ("kind", "prompt", "start"),
    [
        ("char", "The ke", WordStart("The ke", "ke", "")),
        ("char", "The ", WordStart("The ", "", "")),
        ("word", "The ", WordStart("The", "", " ")),
        ("word", "The  ", WordStart("The ", "", " ")),
        ("word", "", WordStart("", "", "")),
        ("bpe", "The ke", WordStart("The", "", " ke")),
        ("bpe", "ke", WordStart("", "", "ke")),
        ("bpe", "The ", WordStart("The", "", " ")),
        ("bpe", "I don't", WordStart("I don'", "don'", "t")),
        ("bpe", "The keys,", WordStart("The keys,", "", "")),
    ],
)
def test_where_the_next_word_starts(kind: TokenizerKind, prompt: str, start: WordStart) -> None:
    """The context, the known part of the word, and the text to spell again."""
    assert find_word_start(prompt, kind) == start


def test_a_search_is_bounded_and_lets_streams_run(tmp_path: Path) -> None:
    """During a search over a flat distribution a stream gets its tokens, turn by turn."""
    artifact = language_model(tmp_path, "bpe", seed=3)
    with serving({"m": artifact}, EngineOptions(threads=1, rows=10)) as served:
        endless = Generate(
            model="m", prompt="", max_tokens=100_000, sampling=Sampling(temperature=50.0, min_p=0.9)
        )
        stream = served.submit(endless)
        search = served.submit(NextWord(model="m", prompt="The ", top=100_000))
        served.wait(search)
        served.engine.cancel(stream)
        turns = [
            {ticket for ticket, _ in delivery}
            for delivery in served.deliveries
            if any(isinstance(event, Token | NextWordsFound) for _, event in delivery)
        ]
    # A turn of the search alone has at most PRIORITY_STEPS calls, each of eight nodes.
    fewest = EngineOptions().search_expansions // 8 // (PRIORITY_STEPS + 1)
    assert sum(stream in turn for turn in turns) >= fewest

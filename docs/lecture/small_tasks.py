"""Generated texts and short training runs for the figures. Nothing is read from a file.

Shapes: T time steps, B rows, V vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.architecture import Cell, ClassifierArchitecture, LanguageModelArchitecture
from model.networks import Classifier, LanguageModel
from model.state import State
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import train_word_tokenizer

SINGULAR = ["key", "cabinet", "door", "book", "table", "cat", "king", "letter"]
PLACES = ["to", "by", "on", "near", "behind"]
STATES = ["lost", "old", "new", "here", "red"]
SENTENCE = "the keys to the cabinet by the door on the left"
"""The sentence of the lecture."""
MOST_PHRASES = 4  # between the noun and its verb
PRAISE, BLAME = ["good", "great", "warm", "funny"], ["bad", "dull", "slow", "weak"]
SUBJECTS = ["film", "story", "end", "music"]
RECALLED = 6  # different symbols to remember
FILLERS = 4
CLIP_NORM = 1.0


def agreement_sentence(chance: random.Random) -> str:
    """A sentence whose verb agrees with its first noun, whatever nouns stand between."""
    plural = chance.random() < 0.5
    phrases = [_noun_phrase(chance, plural)]
    for _ in range(chance.randint(0, MOST_PHRASES)):
        after = "the left" if chance.random() < 0.2 else _noun_phrase(chance, chance.random() < 0.5)
        phrases.append(f"{chance.choice(PLACES)} {after}")
    return f"{' '.join(phrases)} {'are' if plural else 'is'} {chance.choice(STATES)} ."


def _noun_phrase(chance: random.Random, plural: bool) -> str:
    return f"the {chance.choice(SINGULAR)}{'s' if plural else ''}"


def agreement_model(
    cell: Cell, hidden: int, steps: int, rate: float = 0.01
) -> tuple[LanguageModel, Tokenizer]:
    """A language model of one layer, trained on generated sentences from seed 0."""
    torch.manual_seed(0)
    chance = random.Random(0)
    texts = [agreement_sentence(chance) for _ in range(4000)]
    tokenizer = train_word_tokenizer(texts, vocabulary=None, pretokenized=True)
    model = LanguageModel(
        LanguageModelArchitecture(
            cell=cell, vocabulary=tokenizer.size, embedding=16, hidden=hidden, layers=1
        )
    )
    sentences = [tokenizer.encode(text) for text in texts]
    descend(model, steps, rate, lambda: _sentence_loss(model, tokenizer, chance, sentences))
    return model.eval(), tokenizer


def _sentence_loss(
    model: LanguageModel, tokenizer: Tokenizer, chance: random.Random, sentences: list[list[int]]
) -> Tensor:
    """Mean loss of 32 sentences. [END] after a shorter one is read, and not predicted again."""
    chosen = chance.sample(sentences, 32)
    length = max(map(len, chosen)) + 1
    tokens_TB = torch.full((length + 1, len(chosen)), tokenizer.end)
    wanted_TB = torch.full((length, len(chosen)), -100)
    for row, ids in enumerate(chosen):
        tokens_TB[1 : len(ids) + 1, row] = torch.tensor(ids)
        wanted_TB[: len(ids) + 1, row] = tokens_TB[1 : len(ids) + 2, row]
    logits_TBV, _ = model(tokens_TB[:-1], model.initial_state(len(chosen)))
    return functional.cross_entropy(logits_TBV.flatten(0, 1), wanted_TB.flatten())


def descend(
    model: torch.nn.Module, steps: int, rate: float, loss_of: Callable[[], Tensor]
) -> list[float]:
    """Adam with clipping by norm. Returns the loss of each step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    losses = []
    for _ in range(steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def review(chance: random.Random) -> tuple[str, int]:
    """A review of one or two clauses and its label. The last clause decides; "not" turns it."""
    first, last = chance.randrange(2), chance.randrange(2)
    beginning = f"{_clause(chance, first)} but " if chance.random() < 0.5 else ""
    return beginning + _clause(chance, last), last


def _clause(chance: random.Random, positive: int) -> str:
    turned = chance.random() < 0.5
    words = PRAISE if positive != turned else BLAME
    return f"the {chance.choice(SUBJECTS)} is {'not ' if turned else ''}{chance.choice(words)}"


def small_classifier(cell: Cell, vocabulary: int, hidden: int) -> Classifier:
    """The encoder of the lecture: one direction, the final hidden state, an MLP, two labels."""
    architecture = ClassifierArchitecture(
        cell=cell,
        vocabulary=vocabulary,
        embedding=16,
        hidden=hidden,
        layers=1,
        pooling="last",
        mlp=16,
        labels=2,
    )
    return Classifier(architecture)


def padded(documents: list[list[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Tokens (T, B), filled up with ``padding``, and lengths (B)."""
    lengths = [len(document) for document in documents]
    tokens_TB = torch.full((max(lengths), len(documents)), padding)
    for row, document in enumerate(documents):
        tokens_TB[: len(document), row] = torch.tensor(document)
    return tokens_TB, torch.tensor(lengths)


def recall_stream(
    delay: int, rows: int, steps: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Symbols that come back after ``delay`` other tokens, as inputs and targets.

    Yields one round (T, B) at a time: a symbol, ``delay`` fillers, a question mark at which the
    symbol has to be predicted. Targets are -100 at all other steps.
    """
    question = RECALLED + FILLERS
    for _ in range(steps):
        symbols_B = generator.integers(0, RECALLED, rows)
        fillers = generator.integers(RECALLED, RECALLED + FILLERS, (delay, rows))
        inputs = np.concatenate([symbols_B[None], fillers, np.full((1, rows), question)])
        targets = np.full_like(inputs, -100)
        targets[-1] = symbols_B
        yield torch.from_numpy(inputs), torch.from_numpy(targets)


def recall_model(cell: Cell, hidden: int = 32, seed: int = 0) -> LanguageModel:
    """An untrained network for :func:`recall_stream`."""
    torch.manual_seed(seed)
    vocabulary = RECALLED + FILLERS + 1
    return LanguageModel(
        LanguageModelArchitecture(
            cell=cell, vocabulary=vocabulary, embedding=16, hidden=hidden, layers=1
        )
    )


def train_recall(
    model: LanguageModel, *, delay: int, window: int, steps: int, rate: float = 0.01
) -> list[float]:
    """Truncated backpropagation through time. Returns the accuracy of each round.

    The state is carried from window to window, without its gradient, as ``training lm`` does.
    """
    generator = np.random.default_rng(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    accuracies = []
    for inputs_TB, targets_TB in recall_stream(delay, 64, steps, generator):
        state = model.initial_state(inputs_TB.shape[1])
        hits: list[float] = []
        for inputs, targets in zip(inputs_TB.split(window), targets_TB.split(window), strict=True):
            logits_TBV, state = model(inputs, state)
            state = State(
                state.hidden_LBH.detach(),
                None if state.cell_LBH is None else state.cell_LBH.detach(),
            )
            if not (targets >= 0).any():
                continue
            loss = functional.cross_entropy(logits_TBV.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()
            asked = targets >= 0
            hits.append(float((logits_TBV.argmax(dim=2) == targets)[asked].float().mean()))
        accuracies.append(hits[-1])
    return accuracies


def final(values: list[float], count: int = 10) -> float:
    """The mean of the last values."""
    return sum(values[-count:]) / len(values[-count:])

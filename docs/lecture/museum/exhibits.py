"""The failures of the museum, each with its cure."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from docs.lecture.museum.exhibit import Exhibit, Measured
from docs.lecture.small_tasks import (
    descend,
    final,
    padded,
    recall_model,
    recall_stream,
    small_classifier,
    train_recall,
)
from model.inspection import inspect, word_gradients
from model.networks import Classifier, LanguageModel
from training.analysis.clipping_comparison import compare_clipping, scale_to_radius
from training.analysis.corpus import read_corpus
from training.analysis.networks import build_small_network
from training.analysis.short_training import ShortTrainingSettings
from training.config.gradients import GradientRecipe

FORGET_BIAS, CURED_BIAS = -3.0, 1.0
SATURATING = 300.0  # factor of the weights W_x
CARRIED_WINDOW = 8
DEPTH, WIDTH = 40, 32  # of the network without recurrence
LONG = 30  # tokens after the one that decides
VOCABULARY = 12  # of the classifiers; tokens 0 and 1 decide, the last one is padding


def no_clipping(quick: bool) -> Measured:
    """Plain gradient descent from a spectral radius of 4, without and with clipping by norm."""
    recipe = GradientRecipe(cells="elman", context=41, length=32, lags=20)
    corpus = read_corpus(recipe, None)
    network = build_small_network("elman", corpus.vocabulary, recipe)
    assert isinstance(network, LanguageModel)
    scale_to_radius(network, 4.0)
    settings = ShortTrainingSettings(
        steps=25 if quick else 100,
        batch=32,
        learning_rate=2.0,
        optimizer="sgd",
        clip_norm=0.3,
        clip_value=0.05,
        seed=0,
    )
    curves = compare_clipping(network, corpus.training_excerpts(recipe), settings, lambda _: None)
    faulty, cured = curves["none"], curves["norm"]
    return Measured(
        x="training step",
        y="loss in nats",
        faulty=faulty.losses,
        cured=cured.losses,
        symptoms={
            "largest loss": (max(faulty.losses), max(cured.losses)),
            "largest norm of the applied gradient": (max(faulty.clipped), max(cured.clipped)),
        },
    )


def state_not_carried(quick: bool) -> Measured:
    """A trained network reads long texts in windows, from the initial state or from the last."""
    recipe = GradientRecipe(hidden=32, embedding=16, context=64, length=48)
    corpus = read_corpus(recipe, None)
    network = build_small_network("gru", corpus.vocabulary, recipe)
    assert isinstance(network, LanguageModel)
    generator = np.random.default_rng(0)
    source = corpus.training_excerpts(recipe)

    def loss() -> Tensor:
        inputs_TB, targets_TB = source.draw(32, generator)
        logits_TBV, _ = network(inputs_TB, network.initial_state(32))
        return functional.cross_entropy(logits_TBV.flatten(0, 1), targets_TB.flatten())

    descend(network, 60 if quick else 300, 0.01, loss)
    inputs_TB, targets_TB = corpus.held_out_excerpts(recipe).draw(256, generator).last(64)
    curves = {}
    for carried in (False, True):
        losses, state = [], network.initial_state(256)
        for inputs, targets in zip(
            inputs_TB.split(CARRIED_WINDOW), targets_TB.split(CARRIED_WINDOW), strict=True
        ):
            with torch.no_grad():
                start = state if carried else network.initial_state(256)
                logits_TBV, state = network(inputs, start)
            loss_TB = functional.cross_entropy(
                logits_TBV.flatten(0, 1), targets.flatten(), reduction="none"
            ).view_as(targets)
            losses.append(loss_TB.mean(dim=1))
        curves[carried] = torch.cat(losses[1:]).tolist()
    first = {name: final(values[::CARRIED_WINDOW], 7) for name, values in curves.items()}
    mean = {name: final(values, len(values)) for name, values in curves.items()}
    return Measured(
        x="token",
        y="loss in nats",
        first=CARRIED_WINDOW,
        faulty=curves[False],
        cured=curves[True],
        symptoms={
            "mean loss": (mean[False], mean[True]),
            f"loss of every {CARRIED_WINDOW}th token": (first[False], first[True]),
        },
    )


def bptt_of_three(quick: bool) -> Measured:
    """A symbol that comes back after 9 steps, learned through windows of 3 and of 10."""
    steps = 120 if quick else 200
    faulty, cured = (
        train_recall(recall_model("lstm"), delay=8, window=window, steps=steps)
        for window in (3, 10)
    )
    return Measured(
        x="training step",
        y="accuracy",
        faulty=faulty,
        cured=cured,
        symptoms={"accuracy at the end": (final(faulty), final(cured))},
    )


def forget_bias(quick: bool) -> Measured:
    """The same task with 10 tokens between, from two forget biases."""
    delay, curves, reach, kept = 10, [], [], []
    inputs_TB, targets_TB = next(recall_stream(delay, 8, 1, np.random.default_rng(3)))
    for bias in (FORGET_BIAS, CURED_BIAS):
        model = recall_model("lstm")
        width = model.architecture.hidden
        with torch.no_grad():
            model.recurrent.get_parameter("bias_ih_l0")[width : 2 * width] = bias
        reach.append(_reach(model, inputs_TB, targets_TB))
        with torch.no_grad():
            (steps,) = inspect(model, inputs_TB, model.initial_state(8))
        kept.append(float(torch.stack([step.gates["forget"] for step in steps]).mean()))
        length = 130 if quick else 200
        curves.append(train_recall(model, delay=delay, window=delay + 2, steps=length))
    return Measured(
        x="training step",
        y="accuracy",
        faulty=curves[0],
        cured=curves[1],
        symptoms={
            "accuracy at the end": (final(curves[0]), final(curves[1])),
            "mean of the forget gate before training": (kept[0], kept[1]),
            f"gradient {delay + 1} steps back, before training": (reach[0], reach[1]),
        },
    )


def saturated_tanh(quick: bool) -> Measured:
    """An Elman network with the same task, whose weights W_x are 300 times too large."""
    delay, curves, reach, saturated = 6, [], [], []
    inputs_TB, targets_TB = next(recall_stream(delay, 8, 1, np.random.default_rng(3)))
    for scale in (SATURATING, 1.0):
        model = recall_model("elman")
        with torch.no_grad():
            model.recurrent.get_parameter("weight_ih_l0").mul_(scale)
            (steps,) = inspect(model, inputs_TB, model.initial_state(8))
        hidden_TBH = torch.stack([step.hidden_BH for step in steps])
        saturated.append(float((hidden_TBH.abs() > 0.9).float().mean()))
        reach.append(_reach(model, inputs_TB, targets_TB))
        length = 100 if quick else 150
        curves.append(train_recall(model, delay=delay, window=delay + 2, steps=length, rate=0.003))
    return Measured(
        x="training step",
        y="accuracy",
        faulty=curves[0],
        cured=curves[1],
        symptoms={
            "accuracy at the end": (final(curves[0]), final(curves[1])),
            "share of states beyond 0.9, before training": (saturated[0], saturated[1]),
            f"gradient {delay + 1} steps back, before training": (reach[0], reach[1]),
        },
    )


def _reach(model: LanguageModel, inputs_TB: Tensor, targets_TB: Tensor) -> float:
    """The gradient at the state after the symbol, relative to that at the last one."""
    shares = []
    for row in range(inputs_TB.shape[1]):
        found = word_gradients(
            model, inputs_TB[:, row], int(targets_TB[-1, row]), model.initial_state(1)
        )
        shares.append(float(found.states_S[1] / found.states_S[-1]))
    return sum(shares) / len(shares)


Documents = list[tuple[list[int], int]]


def _documents(chance: random.Random, after: int, *, long_past: bool) -> Documents:
    """32 documents: token 0 or 1, which is the label, and ``after`` other tokens after it.

    With ``long_past`` there are up to four more before it.
    """
    documents = []
    for _ in range(32):
        label, before = chance.randrange(2), chance.randint(0, 4) if long_past else 0
        others = [chance.randrange(2, VOCABULARY - 1) for _ in range(before + after)]
        documents.append(([*others[:before], label, *others[before:]], label))
    return documents


def _train_classifier(
    model: Classifier, steps: int, *, after: int, long_past: bool = False
) -> list[float]:
    chance = random.Random(1)

    def loss() -> Tensor:
        documents = _documents(chance, after, long_past=long_past)
        tokens_TB, lengths_B = padded([ids for ids, _ in documents], VOCABULARY - 1)
        labels_B = torch.tensor([label for _, label in documents])
        return functional.cross_entropy(model(tokens_TB, lengths_B), labels_B)

    return descend(model, steps, 0.01, loss)


def elman_at_chance(quick: bool) -> Measured:
    """The word that decides is the first of 31: an Elman encoder beside an LSTM."""
    curves = []
    for cell in ("elman", "lstm"):
        torch.manual_seed(0)
        model = small_classifier("elman" if cell == "elman" else "lstm", VOCABULARY, hidden=32)
        if cell == "elman":
            model.recurrent.reset_parameters()
        steps = 100 if quick else 200
        curves.append(_train_classifier(model, steps, after=LONG))
    return Measured(
        x="training step",
        y="loss in nats",
        faulty=curves[0],
        cured=curves[1],
        symptoms={"loss at the end": (final(curves[0]), final(curves[1]))},
    )


def padding_as_text(quick: bool) -> Measured:
    """One short text in batches with longer and longer ones, with its length ignored or not."""
    torch.manual_seed(0)
    model = small_classifier("elman", VOCABULARY, hidden=16)
    _train_classifier(model, 60 if quick else 150, after=1, long_past=True)
    text, curves = [5, 1, 4], dict[bool, list[float]]()
    for ignored in (True, False):
        chances = []
        for extra in range(60):
            tokens_TB, lengths_B = padded([text, [2] * (3 + extra)], VOCABULARY - 1)
            if ignored:
                lengths_B = torch.full_like(lengths_B, len(tokens_TB))
            with torch.no_grad():
                chances.append(float(model(tokens_TB, lengths_B).softmax(dim=1)[0, 1]))
        curves[ignored] = chances
    spread = {name: max(values) - min(values) for name, values in curves.items()}
    return Measured(
        x="tokens by which the other text is longer",
        y="p(positive) of one text",
        faulty=curves[True],
        cured=curves[False],
        symptoms={
            "largest difference for the same text": (spread[True], spread[False]),
            "lowest p(positive)": (min(curves[True]), min(curves[False])),
        },
    )


def deep_feed_forward(quick: bool) -> Measured:
    """A feed-forward network of 40 layers: h = tanh(W h + b) beside h + tanh(W h + b).

    The residual form is that of He et al., "Deep Residual Learning for Image Recognition", 2015.
    """
    curves, losses = [], []
    for residual in (False, True):
        torch.manual_seed(0)
        layers = [torch.nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH)]
        readout = torch.nn.Linear(WIDTH, 2)
        model = torch.nn.ModuleList([*layers, readout])
        inputs_BI = torch.randn(128, WIDTH)
        labels_B = (inputs_BI[:, 0] > 0).long()
        curves.append(_gradients_by_layer(layers, readout, inputs_BI, labels_B, residual=residual))

        def loss(
            layers: list[torch.nn.Linear] = layers,
            readout: torch.nn.Linear = readout,
            inputs_BI: Tensor = inputs_BI,
            labels_B: Tensor = labels_B,
            residual: bool = residual,
        ) -> Tensor:
            states = _deep_states(layers, inputs_BI, residual=residual)
            return functional.cross_entropy(readout(states[-1]), labels_B)

        losses.append(final(descend(model, 40 if quick else 60, 0.001, loss)))
    return Measured(
        x="layers back from the last one",
        y="gradient at the layer",
        faulty=curves[0],
        cured=curves[1],
        symptoms={
            "gradient at the first layer": (curves[0][-1], curves[1][-1]),
            "loss at the end": (losses[0], losses[1]),
        },
        logarithmic=True,
    )


def _deep_states(
    layers: list[torch.nn.Linear], inputs_BI: Tensor, *, residual: bool
) -> list[Tensor]:
    states = [inputs_BI]
    for layer in layers:
        update = torch.tanh(layer(states[-1]))
        states.append(states[-1] + update if residual else update)
    return states


def _gradients_by_layer(
    layers: list[torch.nn.Linear],
    readout: torch.nn.Linear,
    inputs_BI: Tensor,
    labels_B: Tensor,
    *,
    residual: bool,
) -> list[float]:
    """The norm of the loss's gradient at each layer's output, relative to the last, last first."""
    states = _deep_states(layers, inputs_BI, residual=residual)[1:]
    loss = functional.cross_entropy(readout(states[-1]), labels_B)
    norms = [float(gradient.norm()) for gradient in torch.autograd.grad(loss, states)]
    return [norm / norms[-1] for norm in reversed(norms)]


def _apart(symptom: str, at_least: float) -> Callable[[Measured], bool]:
    """Whether the faulty run is above the cured one by a factor."""
    return lambda measured: measured.symptoms[symptom][0] > at_least * measured.symptoms[symptom][1]


def _never_learns(measured: Measured) -> bool:
    faulty, cured = measured.symptoms["accuracy at the end"]
    return faulty < 0.4 and cured > 0.9


def _at_chance(measured: Measured) -> bool:
    faulty, cured = measured.symptoms["loss at the end"]
    return faulty > 0.65 and cured < 0.2


def _vanishes_with_depth(measured: Measured) -> bool:
    faulty, cured = measured.symptoms["gradient at the first layer"]
    return faulty < 1e-4 and cured > 0.1


def _depends_on_neighbor(measured: Measured) -> bool:
    faulty, cured = measured.symptoms["largest difference for the same text"]
    return faulty > 0.1 and cured < 1e-4


EXHIBITS = {
    exhibit.name: exhibit
    for exhibit in (
        Exhibit("1", "Exhibit 1: the loss jumps", no_clipping, _apart("largest loss", 2)),
        Exhibit("2", "Exhibit 2: a saw", state_not_carried, _apart("loss of every 8th token", 1.3)),
        Exhibit("3", "Exhibit 3: nothing is learned", bptt_of_three, _never_learns),
        Exhibit("4", "Exhibit 4: an LSTM without memory", forget_bias, _never_learns),
        Exhibit(
            "5", "Exhibit 5: the answer depends on the batch", padding_as_text, _depends_on_neighbor
        ),
        Exhibit("6", "Exhibit 6: a loss of 0.693", elman_at_chance, _at_chance),
        Exhibit("7", "Exhibit 7: a start that does not move", saturated_tanh, _never_learns),
        Exhibit("8", "Exhibit 8: no words, no time", deep_feed_forward, _vanishes_with_depth),
    )
}

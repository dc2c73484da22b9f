"""Names and shapes of a network's parameters, as :mod:`model.networks` has them.

The weights file is checked against them before a network is built, and without torch.
"""

from __future__ import annotations

from itertools import pairwise

from model.architecture import (
    GATE_BLOCKS,
    Architecture,
    Cell,
    ClassifierArchitecture,
    LanguageModelArchitecture,
)

Shapes = dict[str, tuple[int, ...]]


def parameter_shapes(architecture: Architecture) -> Shapes:
    """The shape of each stored tensor by its name. Tied weights have one name."""
    if isinstance(architecture, LanguageModelArchitecture):
        return _language_model(architecture)
    return _classifier(architecture)


def _language_model(a: LanguageModelArchitecture) -> Shapes:
    shapes = _encoder(a, directions=1)
    if a.projection is not None:
        shapes |= _linear("projection", a.projection, a.hidden)
    if a.division is None:
        shapes |= _linear("output", a.vocabulary, a.output_input)
    else:
        shapes |= _adaptive(a, a.division)
    if a.tied:
        del shapes["output.weight"]
    return shapes


def _adaptive(a: LanguageModelArchitecture, division: int) -> Shapes:
    """An adaptive softmax; :mod:`model.output_layer` explains its parts."""
    width = a.output_input
    rows = a.vocabulary if division == 1 else a.cutoffs[0] + 1
    shapes: Shapes = {"output.weight": (rows, width), "output.bias": (a.vocabulary,)}
    shapes |= _linear("output.entries", len(a.cutoffs), width)
    if division > 1:
        for index, (begin, end) in enumerate(pairwise((*a.cutoffs, a.vocabulary - 1))):
            narrow = max(1, width // division ** (index + 1))
            shapes[f"output.tails.{index}.narrow.weight"] = (narrow, width)
            shapes[f"output.tails.{index}.words.weight"] = (end - begin, narrow)
    return shapes


def _classifier(a: ClassifierArchitecture) -> Shapes:
    shapes = _encoder(a, a.directions)
    if a.ngrams > 1:
        shapes["ngram_embedding.weight"] = ((a.ngrams - 1) * a.ngram_buckets, a.embedding)
    shapes |= _linear("mlp", a.mlp, a.pooled)
    shapes |= _linear("output", a.labels, a.mlp)
    if a.linear_ngrams > 0:
        features = a.vocabulary + (a.linear_ngrams - 1) * a.linear_buckets
        shapes["linear.importance_F"] = (features,)
        shapes["linear.weight_FC"] = (features, a.labels)
        shapes["linear.bias_C"] = (a.labels,)
    return shapes


def _encoder(a: Architecture, directions: int) -> Shapes:
    """Initial states, embedding and recurrent layers."""
    first = (a.layers * directions, 1, a.hidden)
    shapes: Shapes = {"initial_hidden_L1H": first}
    if a.cell == "lstm":
        shapes["initial_cell_L1H"] = first
    shapes["embedding.weight"] = (a.vocabulary, a.embedding)
    for layer in range(a.layers):
        inputs = a.embedding if layer == 0 else a.hidden * directions
        for direction in range(directions):
            shapes |= _recurrent(a.cell, inputs, a.hidden, layer_suffix(layer, direction))
    return shapes


def layer_suffix(layer: int, direction: int = 0) -> str:
    """The end of torch's names of the parameters of one layer in one direction."""
    return f"_l{layer}_reverse" if direction else f"_l{layer}"


def _recurrent(cell: Cell, inputs: int, hidden: int, suffix: str) -> Shapes:
    outputs = GATE_BLOCKS[cell] * hidden
    return {
        f"recurrent.weight_ih{suffix}": (outputs, inputs),
        f"recurrent.weight_hh{suffix}": (outputs, hidden),
        f"recurrent.bias_ih{suffix}": (outputs,),
        f"recurrent.bias_hh{suffix}": (outputs,),
    }


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

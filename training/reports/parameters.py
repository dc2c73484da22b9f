"""The parameters of a network in the letters of the formulas: names, shapes, counts."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from model.networks import Classifier, LanguageModel

GATES = {"elman": "", "gru": "r, z, g", "lstm": "i, f, g, o"}
RECURRENT = re.compile(r"recurrent\.(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")
LETTERS = {"weight_ih": "W_x", "weight_hh": "W_h", "bias_ih": "b", "bias_hh": "b"}
MEANINGS = {
    "embedding.weight": ("E", "a vector for each word"),
    "ngram_embedding.weight": ("E_n", "vectors of hashed n-grams"),
    "initial_hidden_L1H": ("h_0", "learned initial state of each layer"),
    "initial_cell_L1H": ("c_0", "learned initial cell state of each layer"),
    "projection.weight": ("P", "from the state to the output layer"),
    "projection.bias": ("b_P", "bias of P"),
    "mlp.weight": ("W_1", "hidden layer of the MLP"),
    "mlp.bias": ("b_1", "bias of W_1"),
    "output.weight": ("W_out", "scores of the answers"),
    "output.bias": ("b_out", "bias of the scores"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """One tensor of parameters; ``name`` is torch's."""

    letter: str
    name: str
    shape: tuple[int, ...]
    count: int
    meaning: str

    def record(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        return asdict(self)


def describe_parameters(network: LanguageModel | Classifier) -> list[ParameterGroup]:
    """Every tensor once; weights that the output layer shares with the embedding count once."""
    groups = []
    for name, parameter in network.named_parameters():
        letter, meaning = _letter(name, network)
        groups.append(
            ParameterGroup(
                letter=letter,
                name=name,
                shape=tuple(parameter.shape),
                count=parameter.numel(),
                meaning=meaning,
            )
        )
    return groups


def window_parameters(network: LanguageModel | Classifier, words: int) -> int:
    """The weights of one layer of the hidden size over the vectors of ``words`` words, and bias."""
    architecture = network.architecture
    return architecture.hidden * (architecture.embedding * words + 1)


def _letter(name: str, network: LanguageModel | Classifier) -> tuple[str, str]:
    match = RECURRENT.fullmatch(name)
    if match is None:
        letter, meaning = MEANINGS.get(name, ("", "part of the output layer or the linear part"))
        if name == "embedding.weight" and getattr(network.architecture, "tied", False):
            meaning += ", also the weights of the output layer"
        return letter, meaning
    kind, side, layer, reverse = match.groups()
    meaning = f"layer {int(layer) + 1}"
    if reverse:
        meaning += ", from the end to the beginning"
    if gates := GATES[network.architecture.cell]:
        meaning += f", one above the other for {gates}"
    if kind == "bias":
        meaning += "; torch's two biases are added"
    return LETTERS[f"{kind}_{side}"], meaning

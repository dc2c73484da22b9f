"""The parameter groups of the optimizer, with layer-wise learning rates of a classifier.

Lower layers have learned more general features, so they should change less and later: learning
rates fall from layer to layer, and layers begin to learn one by one from the head down (Howard and
Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018).

Beside torch's keys a group has ``scale``, a factor of the learning rate, and ``begins``, the
progress of the run from which on its parameters learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from model.networks import Classifier, LanguageModel

HEAD = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerwiseSchedule:
    """The learning rate and the first step of each layer; by default all are equal.

    Args:
        decay: the ratio of the learning rates of a layer and of the one below it.
        unfreezing: the share of the run over which the layers begin to learn.
    """

    decay: float = 1.0
    unfreezing: float = 0.0

    def rate(self, depth: int) -> float:
        """The factor of the learning rate at a depth below the head."""
        return self.decay**-depth

    def begins(self, depth: int, deepest: int) -> float:
        """The progress from which on a layer learns; 0 for the head."""
        return self.unfreezing * depth / deepest


def language_model_groups(network: LanguageModel, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: matrices decay; biases and the learned first state do not."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.dim() == 2]
    others = [parameter for parameter in trained if parameter.dim() != 2]
    return [_group(matrices, weight_decay), _group(others, 0.0)]


def classifier_groups(
    network: Classifier, weight_decay: float, schedule: LayerwiseSchedule
) -> list[dict[str, Any]]:
    """Two groups for each layer.

    Matrices decay. Biases and first states do not, nor does the embedding, whose rare words would
    fade.
    """
    layers = layer_groups(network)
    groups = []
    for depth, parameters in enumerate(layers):
        decaying: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in parameters:
            decays = parameter.dim() == 2 and not name.endswith("embedding.weight")
            (decaying if decays else others).append(parameter)
        scale, begins = schedule.rate(depth), schedule.begins(depth, len(layers) - 1)
        groups.append(_group(decaying, weight_decay, scale=scale, begins=begins))
        groups.append(_group(others, 0.0, scale=scale, begins=begins))
    return groups


def layer_groups(network: Classifier) -> list[list[tuple[str, nn.Parameter]]]:
    """The trained parameters of each layer with their names.

    The head comes first, then the recurrent layers from the last to the first, then the embeddings.
    First states are one tensor for all layers and belong to the last one.
    """
    layers = network.architecture.layers
    groups: list[list[tuple[str, nn.Parameter]]] = [[] for _ in range(layers + 2)]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[_depth(name, layers)].append((name, parameter))
    return groups


def _group(
    parameters: list[nn.Parameter], weight_decay: float, *, scale: float = 1.0, begins: float = 0.0
) -> dict[str, Any]:
    return {"params": parameters, "weight_decay": weight_decay, "scale": scale, "begins": begins}


def _depth(name: str, layers: int) -> int:
    if name.startswith(("embedding.", "ngram_embedding.")):
        return layers + 1
    if name.startswith("recurrent."):
        layer = int(name.removesuffix("_reverse").rpartition("_l")[2])
        return layers - layer
    return 1 if name.startswith("initial_") else HEAD

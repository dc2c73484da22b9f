"""The layers of a classifier by their depth, and how fast and from when on each one learns.

What lies deep was learned on more text and is more general, so it should change less and later:
learning rates that fall from layer to layer, and layers let go one by one from the head down
(Howard and Ruder, 2018). Knows no schedule and no data.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from model.networks import Classifier

HEAD = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerwiseSchedule:
    """``decay``: how many times slower each layer learns than the one above it. ``unfreezing``:
    the share of the run over which they begin. With 1 and 0 all learn alike.
    """

    decay: float = 1.0
    unfreezing: float = 0.0

    def rate(self, depth: int) -> float:
        """The share of the schedule's learning rate that a layer gets."""
        return self.decay**-depth

    def begins(self, depth: int, deepest: int) -> float:
        """The progress at which a layer begins to learn; the head does at once."""
        return self.unfreezing * depth / deepest


def layer_groups(network: Classifier) -> list[list[tuple[str, nn.Parameter]]]:
    """Parameters that learn, with their names, by depth: head, recurrent layers from the last to
    the first, embeddings. First states are one tensor for all layers and stand with the last.
    """
    layers = network.architecture.layers
    groups: list[list[tuple[str, nn.Parameter]]] = [[] for _ in range(layers + 2)]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[_depth(name, layers)].append((name, parameter))
    return groups


def _depth(name: str, layers: int) -> int:
    if name.startswith(("embedding.", "ngram_embedding.")):
        return layers + 1
    if name.startswith("recurrent."):
        layer = int(name.removesuffix("_reverse").rpartition("_l")[2])
        return layers - layer
    return 1 if name.startswith("initial_") else HEAD

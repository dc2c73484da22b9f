"""A language model as an ONNX graph: tokens and a state in, logits and the next state out.

The graph is built node by node with ``onnx.helper``. ``torch.onnx.export`` would need a further
package (onnxscript), and its recorded graph would depend on torch's version; ONNX has operators for
the three cells, so the network is a dozen nodes.

Shape suffixes: B rows, T time, E embedding, L layers, H hidden, V vocabulary, G gate blocks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.architecture import Cell, LanguageModelArchitecture
from model.storage.weights import Weights

OPSET = 17  # of 2022: old enough for the runtimes of browsers and phones
IR_VERSION = 8  # the one of that opset
OPERATORS: dict[Cell, str] = {"elman": "RNN", "gru": "GRU", "lstm": "LSTM"}
# The blocks of torch's stacked gates in ONNX's order.
GATE_ORDER: dict[Cell, tuple[int, ...]] = {
    "elman": (0,),
    "gru": (1, 0, 2),  # reset, update, candidate -> update, reset, candidate
    "lstm": (0, 3, 1, 2),  # input, forget, candidate, output -> input, output, forget, candidate
}


def language_model_graph(weights: Weights[LanguageModelArchitecture]) -> onnx.ModelProto:
    """The graph of a network of these weights, checked by ``onnx.checker``.

    Inputs: ``input_ids`` int64 (batch, sequence) and ``hidden`` float32 (layers, batch, width), for
    an LSTM also ``cell``. Outputs: ``logits`` (batch, sequence, vocabulary) after each token, and
    ``next_hidden`` and ``next_cell``. The logits of an adaptive softmax are log-probabilities.

    Raises:
        ValueError: the weights exceed 2 GB, the limit of a file of protocol buffers.
    """
    graph = _Graph(weights)
    size = sum(array.nbytes for array in graph.weights.values())
    if size >= 2**31 - 2**20:
        raise ValueError(f"the weights have {size:,} bytes; a file of ONNX holds less than 2 GB")
    graph.add_network()
    model = helper.make_model(
        graph.proto(),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="unroll",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and weights in the order in which they are added. ``weights`` have torch's names."""

    def __init__(self, weights: Weights[LanguageModelArchitecture]) -> None:
        self._architecture = weights.architecture
        self.weights: dict[str, npt.NDArray[Any]] = {
            name: weights[name]
            for name in weights.arrays
            if not name.startswith("initial_")  # values of the first input, in the description
        }
        self._nodes: list[onnx.NodeProto] = []
        self._states = ["hidden", "cell"] if self._architecture.cell == "lstm" else ["hidden"]

    def add_network(self) -> None:
        """Adds the nodes of the whole network."""
        tokens_TB = self._add("Transpose", "input_ids", perm=[1, 0])
        values = self._add("Gather", "embedding.weight", tokens_TB)
        values = self._add("Transpose", self._add_layers(values), perm=[1, 0, 2])
        if self._architecture.projection is not None:
            values = self._linear(values, "projection.weight", "projection.bias")
        if self._architecture.cutoffs:
            self._add_adaptive_softmax(values)
        else:
            self._linear(values, self._output_weight(), "output.bias", into="logits")

    def proto(self) -> onnx.GraphProto:
        """The graph with its inputs, outputs and weights."""
        a = self._architecture
        state: list[str | int | None] = [a.layers, "batch", a.hidden]
        number = TensorProto.FLOAT
        inputs = [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"]),
            *(helper.make_tensor_value_info(name, number, state) for name in self._states),
        ]
        outputs = [
            helper.make_tensor_value_info("logits", number, ["batch", "sequence", a.vocabulary]),
            *(helper.make_tensor_value_info(f"next_{n}", number, state) for n in self._states),
        ]
        weights = [numpy_helper.from_array(array, name) for name, array in self.weights.items()]
        return helper.make_graph(self._nodes, "language-model", inputs, outputs, weights)

    def _add(self, operator: str, *inputs: str, into: str | None = None, **attributes: Any) -> str:
        """Adds a node of one output; returns the name of the output."""
        return self._add_many(operator, inputs, [into or ""], **attributes)[0]

    def _add_many(
        self, operator: str, inputs: tuple[str, ...], outputs: list[str], **attributes: Any
    ) -> list[str]:
        """Adds a node; an output without a name gets one."""
        number = len(self._nodes)
        names = [name or f"{operator}_{number}_{i}" for i, name in enumerate(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def _constant(self, name: str, *values: int) -> str:
        """A list of whole numbers."""
        self.weights[name] = np.array(values, dtype=np.int64)
        return name

    def _split(self, values: str, axis: int, sizes: list[int]) -> list[str]:
        given = self._constant(f"{values}.sizes", *sizes)
        return self._add_many("Split", (values, given), [""] * len(sizes), axis=axis)

    def _linear(
        self, values: str, weight: str, bias: str | None, *, into: str | None = None
    ) -> str:
        """``values @ weight.T + bias``."""
        columns = self._add("Transpose", weight, perm=[1, 0])
        if bias is None:
            return self._add("MatMul", values, columns, into=into)
        return self._add("Add", self._add("MatMul", values, columns), bias, into=into)

    def _add_layers(self, values_TBE: str) -> str:
        """Adds the recurrent layers and the next state; returns the hidden states (T, B, H)."""
        a = self._architecture
        before = [self._split(name, 0, [1] * a.layers) for name in self._states]
        after: list[list[str]] = [[] for _ in self._states]
        only_direction = self._constant("direction_axis", 1)
        values = values_TBE
        for layer in range(a.layers):
            inputs = (values, *self._layer_weights(layer), "", *(state[layer] for state in before))
            options: dict[str, Any] = {"hidden_size": a.hidden}
            if a.cell == "gru":
                options["linear_before_reset"] = 1  # torch resets behind the product
            outputs = [""] * (1 + len(self._states))
            every, *last = self._add_many(OPERATORS[a.cell], inputs, outputs, **options)
            for states, state in zip(after, last, strict=True):
                states.append(state)
            values = self._add("Squeeze", every, only_direction)
        for name, states in zip(self._states, after, strict=True):
            self._add("Concat", *states, into=f"next_{name}", axis=0)
        return values

    def _layer_weights(self, layer: int) -> list[str]:
        """Replaces the weights of a layer by those of ONNX: W, R and both biases in one."""
        names = [f"recurrent.{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias")]
        biases = [f"recurrent.bias_{side}_l{layer}" for side in ("ih", "hh")]
        for name in names[:2]:
            self.weights[name] = self._reordered(self.weights[name])[None]
        stacked = [self._reordered(self.weights.pop(name)) for name in biases]
        self.weights[names[2]] = np.concatenate(stacked)[None]
        return names

    def _reordered(self, weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The gate blocks in ONNX's order."""
        order = GATE_ORDER[self._architecture.cell]
        blocks = np.split(weight, len(order))
        return np.concatenate([blocks[index] for index in order])

    def _output_weight(self) -> str:
        return "embedding.weight" if self._architecture.tied else "output.weight"

    def _add_adaptive_softmax(self, hidden: str) -> None:
        """The log-probabilities as :class:`model.output_layer.AdaptiveOutput` computes them."""
        a = self._architecture
        bounds = (*a.cutoffs, a.vocabulary - 1)
        tail_words = [end - begin for begin, end in pairwise(bounds)]
        bias, *tail_biases, end_bias = self._split("output.bias", 0, [bounds[0], *tail_words, 1])
        narrow = a.division != 1
        weight_name = self._output_weight()
        between = len(self.weights[weight_name]) - bounds[0] - 1  # only in the embedding, if narrow
        rows = [between] * (between > 0) if narrow else tail_words
        weight, *tail_weights, end_weight = self._split(weight_name, 0, [bounds[0], *rows, 1])
        head_weight = self._add("Concat", weight, end_weight, "output.entries.weight", axis=0)
        head_bias = self._add("Concat", bias, end_bias, "output.entries.bias", axis=0)
        head = self._add("LogSoftmax", self._linear(hidden, head_weight, head_bias), axis=-1)
        words, end, *entries = self._split(head, 2, [bounds[0], 1, *([1] * len(tail_words))])
        logprobs = [words]
        for index, entry in enumerate(entries):
            values = hidden
            if narrow:
                values = self._linear(hidden, f"output.tails.{index}.narrow.weight", None)
                tail_weight = f"output.tails.{index}.words.weight"
            else:
                tail_weight = tail_weights[index]
            logits = self._linear(values, tail_weight, tail_biases[index])
            logprobs.append(self._add("Add", self._add("LogSoftmax", logits, axis=-1), entry))
        self._add("Concat", *logprobs, end, into="logits", axis=-1)

"""The native classifier kernel: the whole network in C++, in one call for a short batch.

Each document is computed by one thread in a fixed order, so its logits are the same to the bit in
any batch. The recurrent layers have the precision of the kernel; word vectors that are pooled, the
MLP, the output layer and the linear part are float32. :mod:`service.kernel.pytorch.classifier`
explains the slices.

Shape suffixes: B rows, U units padded to 16, H hidden, L layers, V vocabulary, C labels.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.architecture import GATE_BLOCKS
from model.networks import Classifier
from model.state import State
from service.kernel.api import packing
from service.kernel.api.interface import FeatureSlices, FloatArray, LogitSlices
from service.kernel.api.packing import KernelPrecision, PackedMatrix
from service.kernel.native import library

WORTH_SHARING = 1 << 24
"""Multiplications of a slice from which several threads compute it: about 0.1 ms of work."""
QUICK_PRODUCTS = 1 << 25
"""Multiplications of a batch up to which the interpreter's lock is kept; see ``library``."""


class NativeClassifierKernel:
    """Implements :class:`service.kernel.api.interface.ClassifierKernel` for one network.

    Raises NativeMissing if the library was not built, ValueError on weights that are not finite.
    """

    def __init__(
        self,
        network: Classifier,
        slice_tokens: int,
        *,
        threads: int = 1,
        precision: KernelPrecision = "int8",
        worth_sharing: int = WORTH_SHARING,
    ) -> None:
        """``worth_sharing``: multiplications of a slice from which several threads compute it."""
        self._library = library.load()
        self._slice_tokens = slice_tokens
        self._threads = threads
        self._precision = precision
        self._kept: list[Any] = []  # tensors and structures that the description points to
        self._products = 0  # multiplications of one token in the recurrent layers
        self._description = self._describe(network, worth_sharing)
        self._labels = network.architecture.labels
        self.features = network.architecture.pooled

    def classify(self, documents: Sequence[Sequence[int]]) -> LogitSlices:
        """A generator that yields between slices and returns logits (rows, labels)."""
        logits_BC = np.empty((len(documents), self._labels), dtype=np.float32)
        yield from self._run(documents, logits_BC, None)
        return logits_BC

    def embed(self, documents: Sequence[Sequence[int]]) -> FeatureSlices:
        """A generator that yields between slices and returns features (rows, features)."""
        logits_BC = np.empty((len(documents), self._labels), dtype=np.float32)
        features_BF = np.empty((len(documents), self.features), dtype=np.float32)
        yield from self._run(documents, logits_BC, features_BF)
        return features_BF

    def _run(
        self,
        documents: Sequence[Sequence[int]],
        logits_BC: FloatArray,
        features_BF: FloatArray | None,
    ) -> Generator[None, None, None]:
        tokens = array("i", chain.from_iterable(documents))
        run = self._library.unroll_run_batch
        if len(tokens) * self._products <= QUICK_PRODUCTS:
            run = self._library.unroll_run_short_batch
        with self._batch(documents, tokens, logits_BC, features_BF) as batch:
            while (status := run(batch, self._slice_tokens)) == 0:
                yield
        if status != 1:
            raise MemoryError("the native kernel could not allocate memory for a slice")

    @contextmanager
    def _batch(
        self,
        documents: Sequence[Sequence[int]],
        tokens: array[int],
        logits_BC: FloatArray,
        features_BF: FloatArray | None,
    ) -> Iterator[int]:
        """The native batch, which writes into the arrays."""
        lengths = array("i", map(len, documents))
        batch = self._library.unroll_create_batch(
            self._description,
            tokens.buffer_info()[0],
            lengths.buffer_info()[0],
            len(documents),
            self._threads,
            logits_BC.ctypes.data,
            None if features_BF is None else features_BF.ctypes.data,
            library.requested_instruction_set(),
        )
        if not batch:
            raise MemoryError("the native kernel could not allocate memory for a batch")
        try:
            yield batch
        finally:
            self._library.unroll_destroy_batch(batch)

    def _describe(self, network: Classifier, worth_sharing: int) -> library.ClassifierDescription:
        a, precision = network.architecture, self._precision
        first_LH = network.initial_hidden_L1H.detach()[:, 0].view(a.layers, -1)
        scales = [packing.state_scale(layer, precision) for layer in first_LH.unbind()]
        directions = [
            self._direction(network, layer, direction, scales[layer])
            for layer in range(a.layers)
            for direction in range(a.directions)
        ]
        embedding, embedding_scales = packing.quantized_rows(network.embedding.weight, precision)
        ngrams = None if network.ngram_embedding is None else network.ngram_embedding.weight
        linear = network.linear
        return library.ClassifierDescription(
            cell=library.CELL_CODES[a.cell],
            precision=library.PRECISION_CODES[precision],
            layers=a.layers,
            directions=a.directions,
            hidden=a.hidden,
            units=packing.padded(a.hidden),
            direction=self._keep((library.DirectionDescription * len(directions))(*directions)),
            scales=self._address(torch.tensor(scales)),
            embedding=self._address(embedding),
            embedding_scales=self._address(embedding_scales),
            embedding_width=embedding.shape[1],
            width=a.embedding,
            vocabulary=a.vocabulary,
            vectors=self._address(network.embedding.weight),
            ngram_vectors=self._address(ngrams),
            ngrams=a.ngrams,
            ngram_buckets=a.ngram_buckets,
            pools_states=a.pooling != "last",
            pools_words=a.pools_words,
            mlp=self._linear(network.mlp),
            output=self._linear(network.output),
            labels=a.labels,
            linear_importance=self._address(None if linear is None else linear.importance_F),
            linear_weights=self._address(None if linear is None else linear.weight_FC),
            linear_biases=self._address(None if linear is None else linear.bias_C),
            linear_ngrams=a.linear_ngrams,
            linear_buckets=a.linear_buckets,
            worth_sharing=worth_sharing,
        )

    def _direction(
        self, network: Classifier, layer: int, direction: int, scale: float
    ) -> library.DirectionDescription:
        """One layer in one direction."""
        a = network.architecture
        gates, suffix = GATE_BLOCKS[a.cell], f"_l{layer}" + ("_reverse" if direction else "")
        input_weight, hidden_weight, input_bias, hidden_bias = (
            getattr(network.recurrent, name + suffix).detach()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        if layer > 0:  # each direction of the layer below is padded separately
            input_weight = packing.padded_parts(input_weight, a.directions)
        cell_L1H = network.initial_cell_L1H if a.cell == "lstm" else None
        states = State(network.initial_hidden_L1H, cell_L1H)
        first = states.layer(layer * a.directions + direction).detach()
        first_U = packing.padded_row(first.hidden_LBH.flatten())
        first_cell_U = (
            None if first.cell_LBH is None else packing.padded_row(first.cell_LBH.flatten())
        )
        activation_U = packing.activations_of(first_U, torch.tensor(scale), self._precision)
        return library.DirectionDescription(
            input=self._gates(input_weight, input_bias, gates),
            hidden=self._gates(hidden_weight, hidden_bias, gates),
            first_activation=self._address(activation_U),
            first_hidden=self._address(first_U),
            first_cell=self._address(first_cell_U),
        )

    def _gates(self, weight: Tensor, bias: Tensor, gates: int) -> library.Matrix:
        blocks = packing.gate_blocks
        packed = packing.pack(blocks(weight, gates), blocks(bias, gates), self._precision)
        self._products += packed.groups * packed.gates * packing.LANES * packed.inputs
        return self._matrix(packed)

    def _linear(self, linear: nn.Linear) -> library.Matrix:
        """A layer of the MLP, in float32."""
        blocks = packing.linear_blocks
        return self._matrix(packing.pack(blocks(linear.weight), blocks(linear.bias), "float32"))

    def _matrix(self, packed: PackedMatrix) -> library.Matrix:
        return library.matrix(self._keep(packed))

    def _address(self, tensor: Tensor | None) -> int | None:
        """The address of a tensor, which stays alive with the kernel. float32 is not copied."""
        if tensor is None:
            return None
        kept = tensor.detach()
        if kept.is_floating_point():
            kept = kept.float()
        return library.address(self._keep(kept.contiguous()))

    def _keep(self, value: Any) -> Any:
        self._kept.append(value)
        return value

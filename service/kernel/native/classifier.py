"""The native encoder of documents: recurrent layers in C++, pooling and MLP in torch.

Documents are sorted by length, longest first, and each is read by one thread. A document's hidden
states are therefore the same to the bit in any batch. :mod:`service.kernel.pytorch.classifier`
explains the slices.

Shape suffixes: B rows, T positions, D directions, U units padded to 16, H hidden, C labels.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.architecture import GATE_BLOCKS
from model.networks import Classifier
from model.state import State
from service.kernel.api import packing
from service.kernel.api.interface import LogitSlices
from service.kernel.api.packing import KernelPrecision, PackedMatrix
from service.kernel.native import library
from service.kernel.pytorch.classifier import ROW_MULTIPLE


class _Direction(NamedTuple):
    """One layer in one direction."""

    input: PackedMatrix
    hidden: PackedMatrix
    first_activation_U: Tensor
    first_U: Tensor
    first_cell_U: Tensor | None


class _Batch(NamedTuple):
    """Documents, longest first. ``order``: the index of each in the caller's list."""

    tokens_BT: Tensor
    lengths_B: Tensor
    order: list[int]


class _Values(NamedTuple):
    """The input of a layer: rows of activations, the scale of one unit, each token's row."""

    activations: Tensor
    scales: Tensor
    tokens_BT: Tensor | None


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
    ) -> None:
        self._library = library.load()
        self._network = network
        self._slice_tokens = slice_tokens
        self._threads = threads
        self._precision = precision
        architecture = network.architecture
        first_LH = network.initial_hidden_L1H.detach()[:, 0].view(architecture.layers, -1)
        self._scales = [packing.state_scale(layer, precision) for layer in first_LH.unbind()]
        self._layers = [
            [self._direction(layer, direction) for direction in range(architecture.directions)]
            for layer in range(architecture.layers)
        ]
        self._embedding, self._embedding_scales = packing.quantized_rows(
            network.embedding.weight, precision
        )

    def classify(self, documents: Sequence[Sequence[int]]) -> LogitSlices:
        """A generator that yields between slices and returns logits (rows, labels)."""
        batch = _longest_first(documents)
        words_BTE = self._token_vectors(batch)
        values = self._first_values(batch, words_BTE)
        for layer in range(len(self._layers)):
            values, hidden_DBTU = yield from self._read(values, layer, batch)
        with torch.inference_mode():
            hidden = self._network.architecture.hidden
            hidden_BTF = torch.cat(list(hidden_DBTU[..., :hidden]), dim=2)
            logits_BC = self._network.label_logits(
                hidden_BTF.transpose(0, 1),
                words_BTE.transpose(0, 1),
                batch.tokens_BT.T,
                batch.lengths_B.long(),
            )
            index_B = torch.tensor(batch.order).argsort()
            return logits_BC[index_B][: len(documents)].numpy()

    def _token_vectors(self, batch: _Batch) -> Tensor:
        with torch.inference_mode():
            vectors_TBE = self._network.token_vectors(batch.tokens_BT.T, batch.lengths_B.long())
            return vectors_TBE.transpose(0, 1)

    def _first_values(self, batch: _Batch, words_BTE: Tensor) -> _Values:
        """Rows of the embedding. N-gram embeddings differ by position, so they get a row for each
        position.
        """
        if self._network.architecture.ngrams == 1:
            return _Values(self._embedding, self._embedding_scales, batch.tokens_BT)
        rows, scales = packing.quantized_rows(words_BTE.flatten(0, 1), self._precision)
        indices_BT = torch.arange(len(rows), dtype=torch.int32).view(batch.tokens_BT.shape)
        return _Values(rows, scales, indices_BT)

    def _read(
        self, values: _Values, layer: int, batch: _Batch
    ) -> Generator[None, None, tuple[_Values, Tensor]]:
        """One layer in all its directions: activations for the next layer, and hidden states."""
        directions = self._layers[layer]
        rows, positions = batch.tokens_BT.shape
        units = len(directions[0].first_U)
        kind = torch.uint8 if self._precision == "int8" else torch.float32
        outputs_BTF = torch.empty((rows, positions, len(directions) * units), dtype=kind)
        hidden_DBTU = torch.empty((len(directions), rows, positions, units))
        for index, direction in enumerate(directions):
            state_BU = direction.first_U.repeat(rows, 1)
            first_cell_U = direction.first_cell_U
            cell_BU = None if first_cell_U is None else first_cell_U.repeat(rows, 1)
            encoder_slice = library.EncoderSlice(
                cell=library.CELL_CODES[self._network.architecture.cell],
                precision=library.PRECISION_CODES[self._precision],
                input=library.matrix(direction.input),
                hidden=library.matrix(direction.hidden),
                tokens=library.address(values.tokens_BT),
                inputs=values.activations.data_ptr(),
                input_scales=values.scales.data_ptr(),
                input_width=values.activations.shape[-1],
                scale=self._scales[layer],
                outputs=outputs_BTF.data_ptr(),
                output_width=outputs_BTF.shape[2],
                output_offset=index * units,
                hiddens=hidden_DBTU[index].data_ptr(),
                first_activation=direction.first_activation_U.data_ptr(),
                states=state_BU.data_ptr(),
                cells=library.address(cell_BU),
                rows=rows,
                positions=positions,
                units=units,
                lengths=batch.lengths_B.data_ptr(),
                reverse=index,
                threads=min(self._threads, rows),
            )
            yield from self._run(encoder_slice)
        return _Values(outputs_BTF, torch.tensor([self._scales[layer]]), None), hidden_DBTU

    def _run(self, encoder_slice: library.EncoderSlice) -> Generator[None, None, None]:
        """Run all steps, a slice at a time."""
        steps = max(1, self._slice_tokens // encoder_slice.rows)
        instruction_set = library.requested_instruction_set()
        for begin in range(0, encoder_slice.positions, steps):
            encoder_slice.begin = begin
            encoder_slice.end = min(begin + steps, encoder_slice.positions)
            if self._library.unroll_encode(ctypes.byref(encoder_slice), instruction_set) != 0:
                raise MemoryError("the native kernel could not allocate memory for a slice")
            yield

    def _direction(self, layer: int, direction: int) -> _Direction:
        network, precision = self._network, self._precision
        architecture = network.architecture
        gates, directions = GATE_BLOCKS[architecture.cell], architecture.directions
        suffix = f"_l{layer}_reverse" if direction else f"_l{layer}"
        input_weight, hidden_weight, input_bias, hidden_bias = (
            getattr(network.recurrent, name + suffix).detach()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        if layer > 0:  # each direction of the layer below is padded separately
            input_weight = packing.padded_parts(input_weight, directions)
        index = layer * directions + direction
        cell_L1H = network.initial_cell_L1H if architecture.cell == "lstm" else None
        first = State(network.initial_hidden_L1H, cell_L1H).layer(index).detach()
        first_U = packing.padded_row(first.hidden_LBH.flatten())
        blocks = packing.gate_blocks
        return _Direction(
            packing.pack(blocks(input_weight, gates), blocks(input_bias, gates), precision),
            packing.pack(blocks(hidden_weight, gates), blocks(hidden_bias, gates), precision),
            packing.activations_of(first_U, torch.tensor(self._scales[layer]), precision),
            first_U,
            None if first.cell_LBH is None else packing.padded_row(first.cell_LBH.flatten()),
        )


def _longest_first(documents: Sequence[Sequence[int]]) -> _Batch:
    """Tokens padded with id 0 in time, and with documents of one token in number."""
    padding = -len(documents) % ROW_MULTIPLE
    lengths = [len(document) for document in documents] + [1] * padding
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    tokens_BT = torch.zeros((len(lengths), max(lengths)), dtype=torch.int32)
    for index, row in enumerate(order):
        if row < len(documents):
            tokens_BT[index, : lengths[row]] = torch.tensor(documents[row], dtype=torch.int32)
    lengths_B = torch.tensor([lengths[row] for row in order], dtype=torch.int32)
    return _Batch(tokens_BT, lengths_B, order)

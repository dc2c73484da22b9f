"""Document state tokens: a document that a classifier has read, to be continued later.

    version | fingerprint | token count | body

signed as :mod:`service.engine.states.signed_token` defines. The compressed body holds the
recurrent state and what is pooled over time, in float32. The size does not depend on the number of
tokens read. Versions from 128 on are of documents, smaller ones of sequences
(:mod:`service.engine.states.state_token`), so neither is ever taken for the other.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import torch

from model.artifact import Artifact
from model.networks import Classifier
from model.state import State
from service.engine.api.errors import InvalidState
from service.engine.states.signed_token import TokenSigner, check_origin, expand, fingerprint_of
from service.engine.states.state_token import LARGEST_CELL, LARGEST_POSITION, ROUNDING
from service.kernel.pytorch.document_reader import DocumentState, pooled_over_time

DOCUMENT_STATE_TOKEN_VERSION = 129
_HEAD = struct.Struct("<B16sQ")
_NUMBER = np.dtype("<f4")


class DocumentStateTokenCodec:
    """Encodes and decodes the document states of one classifier.

    ``bound``: a token is valid only for the tenant that got it.
    """

    def __init__(
        self, key: bytes, artifact: Artifact, network: Classifier, *, bound: bool = False
    ) -> None:
        architecture = network.architecture
        self._signer = TokenSigner(key, bound=bound)
        self._fingerprint = fingerprint_of(artifact)
        self._has_cell = architecture.cell == "lstm"
        self._state_shape = (architecture.layers, 1, architecture.hidden)
        self._pooled = pooled_over_time(architecture)
        states = (2 if self._has_cell else 1) * architecture.layers * architecture.hidden
        self._body_bytes = _NUMBER.itemsize * (states + 2 * self._pooled)
        first_L1H = network.initial_hidden_L1H.detach()  # states stay within it or 1
        self._largest_hidden = max(1.0, float(first_L1H.abs().max())) + ROUNDING

    def encode(self, document: DocumentState, tenant: str = "") -> str:
        """The token of a document."""
        head = _HEAD.pack(DOCUMENT_STATE_TOKEN_VERSION, self._fingerprint, document.token_count)
        cell_LBH = document.state.cell_LBH
        parts = [
            document.state.hidden_LBH,
            *([] if cell_LBH is None else [cell_LBH]),
            document.largest_F,
            document.sum_F,
        ]
        body = b"".join(part.numpy().astype(_NUMBER).tobytes() for part in parts)
        return self._signer.seal(head + zlib.compress(body, level=1), tenant)

    def decode(self, token: str, tenant: str = "") -> DocumentState:
        """The document of a token.

        Raises:
            InvalidState: the token is damaged, truncated, signed with another key or for another
                tenant, or has a field that this model cannot have.
            ForeignState: the token has another format version, such as that of a language model,
                or belongs to another model.
        """
        content = self._signer.open(token, tenant)
        if len(content) < _HEAD.size:
            raise InvalidState
        version, fingerprint, token_count = _HEAD.unpack_from(content)
        check_origin(version, DOCUMENT_STATE_TOKEN_VERSION, fingerprint, self._fingerprint)
        body = expand(content[_HEAD.size :], self._body_bytes)
        if len(body) != self._body_bytes or token_count > LARGEST_POSITION:
            raise InvalidState
        values_N = torch.tensor(np.frombuffer(body, dtype=_NUMBER))
        states = len(values_N) - 2 * self._pooled
        state = self._state(values_N[:states])
        largest_F, sum_F = values_N[states:].split(self._pooled) if self._pooled else _NOTHING
        if not bool(torch.isfinite(values_N).all()):
            raise InvalidState
        return DocumentState(token_count, state, largest_F, sum_F)

    def _state(self, values_N: torch.Tensor) -> State:
        if not self._has_cell:
            state = State(values_N.view(self._state_shape))
        else:
            hidden_LBH, cell_LBH = values_N.view(2, *self._state_shape).unbind()
            state = State(hidden_LBH, cell_LBH)
            if not bool((cell_LBH.abs() <= LARGEST_CELL).all()):  # false for NaN
                raise InvalidState
        if not bool((state.hidden_LBH.abs() <= self._largest_hidden).all()):
            raise InvalidState
        return state


_NOTHING = (torch.zeros(0), torch.zeros(0))

"""Document state tokens: a document that a classifier has read, to be continued later.

    version | fingerprint | token count | body

signed as :mod:`service.engine.states.signed_token` defines. The compressed body holds the
recurrent state and what is pooled over time, in float32. The size does not depend on the number of
tokens read. Versions from 128 on are of documents, smaller ones of sequences
(:mod:`service.engine.states.state_token`), so neither is ever taken for the other.
"""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np

from model.architecture import ClassifierArchitecture
from model.storage.stored_artifact import StoredArtifact
from service.engine.api.errors import InvalidState
from service.engine.states.signed_token import TokenSigner, check_origin, expand, fingerprint_of
from service.engine.states.state_token import LARGEST_CELL, LARGEST_POSITION, ROUNDING
from service.kernel.api.interface import FloatArray
from service.kernel.api.row_state import RowState, state_parts
from service.kernel.documents.document_reader import DocumentState, pooled_over_time

DOCUMENT_STATE_TOKEN_VERSION = 129
_HEAD = struct.Struct("<B16sQ")
_NUMBER = np.dtype("<f4")


class DocumentStateTokenCodec:
    """Encodes and decodes the document states of one classifier.

    ``bound``: a token is valid only for the tenant that got it.
    """

    def __init__(
        self,
        key: bytes,
        artifact: StoredArtifact,
        architecture: ClassifierArchitecture,
        *,
        bound: bool = False,
    ) -> None:
        self._signer = TokenSigner(key, bound=bound)
        self._fingerprint = fingerprint_of(artifact)
        self._state_shape = (state_parts(architecture), architecture.layers, architecture.hidden)
        self._pooled = pooled_over_time(architecture)
        self._numbers = math.prod(self._state_shape) + 2 * self._pooled
        largest_first = float(np.abs(artifact.initial_hidden_L1H).max())  # states stay within it
        self._largest_hidden = max(1.0, largest_first) + ROUNDING  # or 1

    def encode(self, document: DocumentState, tenant: str = "") -> str:
        """The token of a document."""
        head = _HEAD.pack(DOCUMENT_STATE_TOKEN_VERSION, self._fingerprint, document.token_count)
        parts = (document.state.values_PLH, document.largest_F, document.sum_F)
        body = b"".join(part.astype(_NUMBER).tobytes() for part in parts)
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
        size = _NUMBER.itemsize * self._numbers
        body = expand(content[_HEAD.size :], size)
        if len(body) != size or token_count > LARGEST_POSITION:
            raise InvalidState
        values_N = np.frombuffer(body, dtype=_NUMBER).astype(np.float32)
        if not np.isfinite(values_N).all():
            raise InvalidState
        pooled_N = values_N[self._numbers - 2 * self._pooled :]
        state = self._state(values_N[: self._numbers - 2 * self._pooled])
        return DocumentState(token_count, state, pooled_N[: self._pooled], pooled_N[self._pooled :])

    def _state(self, values_N: FloatArray) -> RowState:
        values_PLH = values_N.reshape(self._state_shape)
        bounds = (self._largest_hidden, LARGEST_CELL)
        for part_LH, bound in zip(values_PLH, bounds, strict=False):
            if not (np.abs(part_LH) <= bound).all():
                raise InvalidState
        return RowState(values_PLH)

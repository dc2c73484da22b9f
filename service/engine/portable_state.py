"""A sequence's state as a token that its client keeps: signed, compact, versioned.

    base64url( version | fingerprint | last | position | seed | choice | body | signature )

``fingerprint`` tells the model's files, ``last`` is the token that was drawn and not yet read,
``position`` counts the draws so far. The body, compressed, holds the half of a character that was
not shown yet, the tokens after ``last`` that a stop string has cut, a bit for each token that the
repetition penalty knows, and the state in float32.
HMAC-SHA256 over all of it; nothing is looked at before the signature has been checked. Its size
does not depend on how much was read. Knows no HTTP and no rows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.architecture import LanguageModelArchitecture
from model.artifact import Artifact
from model.state import State
from service.engine.errors import ForeignState, InvalidState

VERSION = 2
SIGNATURE_BYTES = 32
FINGERPRINT_BYTES = 16
_HEAD = struct.Struct("<B16sIQQQ")
_PENDING = struct.Struct("<BHI")  # bytes of a character, tokens that were cut, shown of their text
_TOKEN = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a sequence stopped.

    ``pending``: bytes of a character that is not whole yet. ``unread``: tokens drawn after ``last``
    of whose text only the first ``shown`` characters were shown, because of a stop string.
    """

    state: State
    last: int
    position: int
    seed: int
    choice: int
    seen: frozenset[int]
    pending: bytes = b""
    unread: tuple[int, ...] = ()
    shown: int = 0


def fingerprint_of(artifact: Artifact) -> bytes:
    """What tells this model's files from all others."""
    digests = ";".join(
        f"{name}={digest}" for name, digest in sorted(artifact.manifest.files.items())
    )
    return hashlib.sha256(digests.encode()).digest()[:FINGERPRINT_BYTES]


class Sealer:
    """Writes and reads the tokens of one model."""

    def __init__(
        self, key: bytes, fingerprint: bytes, architecture: LanguageModelArchitecture
    ) -> None:
        self._key = key
        self._fingerprint = fingerprint
        self._vocabulary = architecture.vocabulary
        self._parts = 2 if architecture.cell == "lstm" else 1
        self._shape = (self._parts, architecture.layers, 1, architecture.hidden)

    def seal(self, snapshot: Snapshot) -> str:
        """The token."""
        head = _HEAD.pack(
            VERSION,
            self._fingerprint,
            snapshot.last,
            snapshot.position,
            snapshot.seed,
            snapshot.choice,
        )
        parts = [snapshot.state.hidden_LBH, snapshot.state.cell_LBH][: self._parts]
        body = b"".join(
            (
                _PENDING.pack(len(snapshot.pending), len(snapshot.unread), snapshot.shown),
                snapshot.pending,
                np.array(snapshot.unread, dtype=_TOKEN).tobytes(),
                _bits(snapshot.seen, self._vocabulary),
                *(part.float().numpy().tobytes() for part in parts if part is not None),
            )
        )
        sealed = head + zlib.compress(body, level=1)
        return base64.urlsafe_b64encode(sealed + self._sign(sealed)).decode().rstrip("=")

    def open(self, token: str) -> Snapshot:
        """What was sealed.

        Raises:
            InvalidState: damaged, cut off, or signed with another key.
            ForeignState: of another version of the format, or of another model.
        """
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidState from None
        sealed, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        if len(sealed) < _HEAD.size or not hmac.compare_digest(signature, self._sign(sealed)):
            raise InvalidState
        version, fingerprint, last, position, seed, choice = _HEAD.unpack_from(sealed)
        if version != VERSION:
            raise ForeignState(f"it is of version {version} of the format, this is {VERSION}")
        if fingerprint != self._fingerprint:
            raise ForeignState("it belongs to another model or another version of this one")
        body = zlib.decompress(sealed[_HEAD.size :])
        pending, cut, shown = _PENDING.unpack_from(body)
        unread = _PENDING.size + pending
        begin = unread + cut * _TOKEN.itemsize
        numbers = begin + (self._vocabulary + 7) // 8
        return Snapshot(
            state=self._state(body[numbers:]),
            last=last,
            position=position,
            seed=seed,
            choice=choice,
            seen=_from_bits(body[begin:numbers]),
            pending=body[_PENDING.size : unread],
            unread=tuple(np.frombuffer(body[unread:begin], dtype=_TOKEN).tolist()),
            shown=shown,
        )

    def _sign(self, sealed: bytes) -> bytes:
        return hmac.digest(self._key, b"unroll state\0" + sealed, "sha256")

    def _state(self, raw: bytes) -> State:
        values = torch.tensor(np.frombuffer(raw, dtype=np.float32).reshape(self._shape))
        parts: list[Tensor] = list(values.unbind())
        return State(parts[0], parts[1] if len(parts) > 1 else None)


def _bits(ids: Collection[int], count: int) -> bytes:
    flags = np.zeros(count, dtype=np.uint8)
    flags[list(ids)] = 1
    return np.packbits(flags).tobytes()


def _from_bits(raw: bytes) -> frozenset[int]:
    return frozenset(np.flatnonzero(np.unpackbits(np.frombuffer(raw, dtype=np.uint8))).tolist())

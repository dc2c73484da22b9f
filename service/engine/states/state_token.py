"""A sequence's state as a token that its client keeps: signed, compact, versioned.

    base64url( version | fingerprint | last | position | seed | choice | body | signature )

``fingerprint`` tells the model's files, ``last`` is the token that was generated and not yet read,
``position`` counts the draws so far. The body, compressed, holds the half of a character that was
not shown yet, the tokens after ``last`` that a stop string has cut, a bit for each token that the
repetition penalty knows, and the state in float32.
HMAC-SHA256 over all of it, and over the API key's digest where states are bound to keys; nothing
is looked at before the signature has been checked. Then every field is checked as if there were no
signature, so that a stolen key harms no other request. The size does not depend on how much was
read. No HTTP and no rows here.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import hmac
import math
import struct
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.artifact import Artifact
from model.networks import LanguageModel
from model.state import State
from service.engine.api.errors import ForeignState, InvalidState

STATE_TOKEN_VERSION = 2
SIGNATURE_BYTES = 32
FINGERPRINT_BYTES = 16
LONGEST_PENDING = 3  # bytes of a character that is not whole
MAX_UNREAD = 1024  # tokens that a stop string has cut, which has 100 characters at most
LONGEST_SHOWN = 1 << 12  # characters of the first of them
LARGEST_POSITION = 2**53
LARGEST_CHOICE_INDEX = 2**16
ROUNDING = 1e-3  # by which a hidden state may lie beyond its bound
LARGEST_CELL = 2.0**26  # a cell state grows by 1 a step, which float32 can follow up to 2^24
_HEAD = struct.Struct("<B16sIQQQ")
_PENDING = struct.Struct("<BHI")  # bytes of a character, tokens that were cut, shown of their text
_TOKEN = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a sequence stopped.

    ``pending``: bytes of a character that is not whole yet. ``unread``: tokens generated after
    ``last`` of whose text only the first ``shown`` characters were shown, because of a stop string.
    """

    state: State
    last: int
    position: int
    seed: int
    choice_index: int
    seen: frozenset[int]
    pending: bytes = b""
    unread: tuple[int, ...] = ()
    shown: int = 0


class _Body(NamedTuple):
    """The part of a token that is compressed, field by field."""

    pending: bytes
    unread: tuple[int, ...]
    shown: int
    seen: bytes
    numbers: bytes


def fingerprint_of(artifact: Artifact) -> bytes:
    """What tells this model's files from all others."""
    digests = ";".join(
        f"{name}={digest}" for name, digest in sorted(artifact.manifest.files.items())
    )
    return hashlib.sha256(digests.encode()).digest()[:FINGERPRINT_BYTES]


class StateTokenCodec:
    """Writes and reads the tokens of one model.

    ``bound``: a token is of use only to the tenant that it was given to.
    """

    def __init__(
        self, key: bytes, artifact: Artifact, network: LanguageModel, *, bound: bool = False
    ) -> None:
        architecture = network.architecture
        self._key = key
        self._bound = bound
        self._fingerprint = fingerprint_of(artifact)
        self._vocabulary = architecture.vocabulary
        self._never_drawn = artifact.tokenizer.suppressed
        self._parts = 2 if architecture.cell == "lstm" else 1
        self._shape = (self._parts, architecture.layers, 1, architecture.hidden)
        self._seen_bytes = (self._vocabulary + 7) // 8
        self._fixed_bytes = self._seen_bytes + 4 * math.prod(self._shape)
        first = network.initial_state(1).hidden_LBH  # a state stays within it or within 1
        self._largest_hidden = max(1.0, float(first.detach().abs().max())) + ROUNDING

    def encode(self, snapshot: Snapshot, tenant: str = "") -> str:
        """The token."""
        head = _HEAD.pack(
            STATE_TOKEN_VERSION,
            self._fingerprint,
            snapshot.last,
            snapshot.position,
            snapshot.seed,
            snapshot.choice_index,
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
        signature = self._sign(sealed, tenant)
        return base64.urlsafe_b64encode(sealed + signature).decode().rstrip("=")

    def decode(self, token: str, tenant: str = "") -> Snapshot:
        """What was sealed.

        Raises:
            InvalidState: damaged, cut off, signed with another key or for another tenant, or
                with a field that this model cannot have given it.
            ForeignState: of another version of the format, or of another model.
        """
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidState from None
        sealed, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        genuine = hmac.compare_digest(signature, self._sign(sealed, tenant))
        if len(sealed) < _HEAD.size or not genuine:
            raise InvalidState
        version, fingerprint, last, position, seed, choice_index = _HEAD.unpack_from(sealed)
        if version != STATE_TOKEN_VERSION:
            raise ForeignState(
                f"it is of version {version} of the format, this is {STATE_TOKEN_VERSION}"
            )
        if fingerprint != self._fingerprint:
            raise ForeignState("it belongs to another model or another version of this one")
        if (
            last >= self._vocabulary
            or position > LARGEST_POSITION
            or choice_index > LARGEST_CHOICE_INDEX
        ):
            raise InvalidState
        body = self._body_of(self._expand(sealed[_HEAD.size :]))
        return Snapshot(
            state=self._state(body.numbers),
            last=last,
            position=position,
            seed=seed,
            choice_index=choice_index,
            seen=self._seen(body.seen),
            pending=body.pending,
            unread=body.unread,
            shown=body.shown,
        )

    def _sign(self, sealed: bytes, tenant: str) -> bytes:
        owner = b"of " + tenant.encode() + b"\0" if self._bound else b""
        return hmac.digest(self._key, b"unroll state\0" + owner + sealed, "sha256")

    def _expand(self, compressed: bytes) -> bytes:
        """The body, whose length is bounded: no more than that is ever expanded."""
        expander = zlib.decompressobj()
        longest = _PENDING.size + LONGEST_PENDING + MAX_UNREAD * _TOKEN.itemsize
        longest += self._fixed_bytes
        try:
            body = expander.decompress(compressed, longest + 1)  # with room to see the end
        except zlib.error:
            raise InvalidState from None
        if not expander.eof or expander.unused_data:
            raise InvalidState
        return body

    def _body_of(self, raw: bytes) -> _Body:
        """The fields of the body, whose lengths add up to its own."""
        if len(raw) < _PENDING.size:
            raise InvalidState
        pending, cut, shown = _PENDING.unpack_from(raw)
        unread = _PENDING.size + pending
        seen = unread + cut * _TOKEN.itemsize
        if len(raw) != seen + self._fixed_bytes:
            raise InvalidState
        body = _Body(
            pending=raw[_PENDING.size : unread],
            unread=tuple(np.frombuffer(raw[unread:seen], dtype=_TOKEN).tolist()),
            shown=shown,
            seen=raw[seen : seen + self._seen_bytes],
            numbers=raw[seen + self._seen_bytes :],
        )
        longest = LONGEST_SHOWN if cut else 0
        if cut > MAX_UNREAD or shown > longest or not self._may_be_drawn(body.unread):
            raise InvalidState
        if not _is_half_a_character(body.pending):
            raise InvalidState
        return body

    def _may_be_drawn(self, tokens: Sequence[int]) -> bool:
        return all(token < self._vocabulary and token not in self._never_drawn for token in tokens)

    def _seen(self, raw: bytes) -> frozenset[int]:
        seen = _from_bits(raw)
        if seen and max(seen) >= self._vocabulary:
            raise InvalidState
        return seen

    def _state(self, raw: bytes) -> State:
        values = torch.tensor(np.frombuffer(raw, dtype=np.float32).reshape(self._shape))
        parts: list[Tensor] = list(values.unbind())
        bounds = (self._largest_hidden, LARGEST_CELL)
        for part, bound in zip(parts, bounds, strict=False):
            if not bool((part.abs() <= bound).all()):  # false for what is not a number
                raise InvalidState
        return State(parts[0], parts[1] if len(parts) > 1 else None)


def _is_half_a_character(raw: bytes) -> bool:
    """Whether these bytes, if any, begin a character of UTF-8 and do not end it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        return decoder.decode(raw) == "" and decoder.getstate()[0] == raw
    except UnicodeDecodeError:
        return False


def _bits(ids: Collection[int], count: int) -> bytes:
    flags = np.zeros(count, dtype=np.uint8)
    flags[list(ids)] = 1
    return np.packbits(flags).tobytes()


def _from_bits(raw: bytes) -> frozenset[int]:
    return frozenset(np.flatnonzero(np.unpackbits(np.frombuffer(raw, dtype=np.uint8))).tolist())

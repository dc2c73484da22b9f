"""State tokens: a sequence's state as a signed, compact, versioned token that the client keeps.

    base64url( version | fingerprint | last | position | seed | choice index | body | signature )

``fingerprint`` identifies the model's files. ``last`` is the generated token that was not read yet.
``position`` is the number of tokens sampled so far. The compressed body holds the incomplete
character that was not shown yet, the tokens after ``last`` that were not shown, the tokens that the
presence and frequency penalties have counted, a bit for each token under the repetition penalty,
and the state in float32. The signature is HMAC-SHA256 over all of it, and over the API key's digest
if states are bound to keys. It is checked before any field. Every field is then checked as if there
were no signature, so that a stolen key cannot harm other requests. The size does not depend on the
number of tokens read.
"""

from __future__ import annotations

import codecs
import math
import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from model.architecture import LanguageModelArchitecture
from model.storage.stored_artifact import StoredArtifact
from service.engine.api.errors import InvalidState
from service.engine.states.constrained_text import ConstraintPosition
from service.engine.states.signed_token import TokenSigner, check_origin, expand, fingerprint_of
from service.kernel.api.row_state import RowState, state_parts

STATE_TOKEN_VERSION = 3
DRAINED_VERSION = 4  # tokens follow that were withheld when the service was drained
CONSTRAINED_VERSION = 5  # the text stands inside a constraint; it may be drained, too
LONGEST_PENDING = 3  # bytes of an incomplete character
MAX_UNREAD = 1024  # tokens that hold a stop string of at most 100 characters
LONGEST_SHOWN = 1 << 16  # characters of these tokens
LARGEST_POSITION = 2**53
LARGEST_COUNT = 2**30  # leaves room for the tokens of a continuation
LARGEST_CHOICE_INDEX = 2**16
ROUNDING = 1e-3  # tolerance on the bound of a hidden state
LARGEST_CELL = 2.0**26  # it grows by 1 per step; float32 counts up to 2^24
_HEAD = struct.Struct("<B16sIQQQ")
_SIZES = struct.Struct("<BHII")  # of pending, unread, shown, counts
_REPORTED = struct.Struct("<H")  # follows the sizes in a token of the version DRAINED_VERSION
_CONSTRAINT = struct.Struct("<H8sI")  # the same, and the position, in one of CONSTRAINED_VERSION
_NOT_DRAINED = 0xFFFF
_TOKEN = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The position of a sequence at its end.

    ``pending``: the bytes of an incomplete character. ``unread``: tokens generated after ``last``
    of whose text only the first ``shown`` characters were shown, because of a stop string, or
    because the service was drained. ``reported``: in the second case, how many of them were
    reported with log-probabilities; otherwise None. ``counts``: how often tokens were generated
    under a presence or frequency penalty, without the unread ones. ``constraint``: the position
    inside the constraint of the text, before the unread tokens.
    """

    state: RowState
    last: int
    position: int
    seed: int
    choice_index: int
    seen: frozenset[int]
    pending: bytes = b""
    unread: tuple[int, ...] = ()
    shown: int = 0
    reported: int | None = None
    counts: Mapping[int, int] = field(default_factory=dict)
    constraint: ConstraintPosition | None = None


class _Body(NamedTuple):
    """The fields of the compressed part."""

    pending: bytes
    unread: tuple[int, ...]
    shown: int
    counts: dict[int, int]
    seen: bytes
    numbers: bytes


class _Extra(NamedTuple):
    """The fields that some versions have after the sizes, and their length in bytes."""

    reported: int | None = None
    constraint: ConstraintPosition | None = None
    length: int = 0


class StateTokenCodec:
    """Encodes and decodes the state tokens of one model.

    ``bound``: a token is valid only for the tenant that got it.
    """

    def __init__(
        self,
        key: bytes,
        artifact: StoredArtifact,
        architecture: LanguageModelArchitecture,
        *,
        bound: bool = False,
    ) -> None:
        self._signer = TokenSigner(key, bound=bound)
        self._fingerprint = fingerprint_of(artifact)
        self._vocabulary = architecture.vocabulary
        self._suppressed = artifact.tokenizer.suppressed
        self._shape = (state_parts(architecture), architecture.layers, architecture.hidden)
        self._seen_bytes = (self._vocabulary + 7) // 8
        self._fixed_bytes = self._seen_bytes + 4 * math.prod(self._shape)
        self._longest_body = (
            _SIZES.size + _CONSTRAINT.size + LONGEST_PENDING + MAX_UNREAD * _TOKEN.itemsize
        )
        self._longest_body += 2 * self._vocabulary * _TOKEN.itemsize + self._fixed_bytes
        largest_first = float(np.abs(artifact.initial_hidden_L1H).max())  # states stay within it
        self._largest_hidden = max(1.0, largest_first) + ROUNDING  # or 1

    def encode(self, snapshot: Snapshot, tenant: str = "") -> str:
        """The state token of a snapshot."""
        version, extra = _extra_of(snapshot)
        head = _HEAD.pack(
            version,
            self._fingerprint,
            snapshot.last,
            snapshot.position,
            snapshot.seed,
            snapshot.choice_index,
        )
        body = b"".join(
            (
                _SIZES.pack(
                    len(snapshot.pending),
                    len(snapshot.unread),
                    snapshot.shown,
                    len(snapshot.counts),
                ),
                extra,
                snapshot.pending,
                np.array(snapshot.unread, dtype=_TOKEN).tobytes(),
                np.array([*snapshot.counts.keys()], dtype=_TOKEN).tobytes(),
                np.array([*snapshot.counts.values()], dtype=_TOKEN).tobytes(),
                _bits(snapshot.seen, self._vocabulary),
                snapshot.state.values_PLH.tobytes(),
            )
        )
        return self._signer.seal(head + zlib.compress(body, level=1), tenant)

    def decode(self, token: str, tenant: str = "") -> Snapshot:
        """The snapshot of a state token.

        Raises:
            InvalidState: the token is damaged, truncated, signed with another key or for another
                tenant, or has a field that this model cannot have.
            ForeignState: the token has another format version or belongs to another model.
        """
        content = self._signer.open(token, tenant)
        if len(content) < _HEAD.size:
            raise InvalidState
        version, fingerprint, last, position, seed, choice_index = _HEAD.unpack_from(content)
        known = version in (DRAINED_VERSION, CONSTRAINED_VERSION)
        expected = version if known else STATE_TOKEN_VERSION
        check_origin(version, expected, fingerprint, self._fingerprint)
        if (
            last >= self._vocabulary
            or position > LARGEST_POSITION
            or choice_index > LARGEST_CHOICE_INDEX
        ):
            raise InvalidState
        raw = expand(content[_HEAD.size :], self._longest_body)
        extra = _read_extra(version, raw)
        body = self._body_of(raw, extra)
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
            reported=extra.reported,
            counts=body.counts,
            constraint=extra.constraint,
        )

    def _body_of(self, raw: bytes, extra: _Extra) -> _Body:
        """The fields of the body, whose lengths must add up to its own."""
        begin = _SIZES.size + extra.length
        pending, cut, shown, counted = _SIZES.unpack_from(raw)
        unread = begin + pending
        counts = unread + cut * _TOKEN.itemsize
        seen = counts + 2 * counted * _TOKEN.itemsize
        if len(raw) != seen + self._fixed_bytes:
            raise InvalidState
        body = _Body(
            pending=raw[begin:unread],
            unread=tuple(np.frombuffer(raw[unread:counts], dtype=_TOKEN).tolist()),
            shown=shown,
            counts=self._counts(np.frombuffer(raw[counts:seen], dtype=_TOKEN).tolist()),
            seen=raw[seen : seen + self._seen_bytes],
            numbers=raw[seen + self._seen_bytes :],
        )
        longest = LONGEST_SHOWN if cut else 0
        if (extra.reported or 0) > cut or (extra.reported is not None and not cut):
            raise InvalidState
        if cut > MAX_UNREAD or shown > longest or not self._may_be_generated(body.unread):
            raise InvalidState
        if not _is_incomplete_character(body.pending):
            raise InvalidState
        return body

    def _may_be_generated(self, tokens: Sequence[int]) -> bool:
        return all(token < self._vocabulary and token not in self._suppressed for token in tokens)

    def _counts(self, numbers: Sequence[int]) -> dict[int, int]:
        """Counts by token, from the tokens and then their counts."""
        tokens, counts = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
        if len(set(tokens)) < len(tokens) or not self._may_be_generated(tokens):
            raise InvalidState
        if not all(1 <= count <= LARGEST_COUNT for count in counts):
            raise InvalidState
        return dict(zip(tokens, counts, strict=True))

    def _seen(self, raw: bytes) -> frozenset[int]:
        seen = _from_bits(raw)
        if seen and max(seen) >= self._vocabulary:
            raise InvalidState
        return seen

    def _state(self, raw: bytes) -> RowState:
        values_PLH = np.frombuffer(raw, dtype=np.float32).reshape(self._shape).copy()
        bounds = (self._largest_hidden, LARGEST_CELL)
        for part_LH, bound in zip(values_PLH, bounds, strict=False):
            if not (np.abs(part_LH) <= bound).all():  # false for NaN
                raise InvalidState
        return RowState(values_PLH)


def _extra_of(snapshot: Snapshot) -> tuple[int, bytes]:
    """The version of a snapshot's token, and the fields after the sizes."""
    reported = snapshot.reported if snapshot.unread else None
    if snapshot.constraint is not None:
        drained = _NOT_DRAINED if reported is None else reported
        return CONSTRAINED_VERSION, _CONSTRAINT.pack(drained, *snapshot.constraint)
    if reported is not None:
        return DRAINED_VERSION, _REPORTED.pack(reported)
    return STATE_TOKEN_VERSION, b""


def _read_extra(version: int, raw: bytes) -> _Extra:
    form = {DRAINED_VERSION: _REPORTED, CONSTRAINED_VERSION: _CONSTRAINT}.get(version)
    if len(raw) < _SIZES.size + (0 if form is None else form.size):
        raise InvalidState
    if form is None:
        return _Extra()
    reported, *position = form.unpack_from(raw, _SIZES.size)
    return _Extra(
        None if position and reported == _NOT_DRAINED else reported,
        ConstraintPosition(*position) if position else None,
        form.size,
    )


def _is_incomplete_character(raw: bytes) -> bool:
    """Whether these bytes, if any, are the beginning of a UTF-8 character without its end."""
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

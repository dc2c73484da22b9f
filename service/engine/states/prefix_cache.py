"""A cache of states after token prefixes, searched for the longest prefix of a new sequence.

A state of a few kilobytes represents all tokens read, so a known prefix need not be read again. The
cache is bounded in bytes and evicts the least recently used entry. Tenants never share entries, so
that response times reveal nothing about the texts of others. Not thread-safe.

A prefix is divided into blocks of ``BLOCK_TOKENS`` tokens and a tail. The key of an entry is the
digest of its blocks and its tail: a lookup hashes each block once and then tries the tails known
after that block. An entry also holds the tokens that followed it at its last use. Where a new
sequence diverges from them, a state of its own is worth keeping, since other sequences will diverge
there too.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from service.engine.api.observer import Observer
from service.kernel.api.row_state import RowState

BLOCK_TOKENS = 64
MAX_STATES_PER_TEXT = 32  # kept at regular distances in one text
SHORTEST_PREFIX = 2  # tokens; [END] alone begins every text
DIGEST_BYTES = 16
TOKEN_TYPE = np.dtype(np.int32)
ENTRY_BYTES = 1500  # overhead of an entry besides its state and tokens


class PrefixHashes:
    """The tokens of one text and the digests of its blocks for one tenant."""

    def __init__(self, tenant: str, tokens: Sequence[int]) -> None:
        self.tokens = np.array(tokens, dtype=TOKEN_TYPE)
        salt = hashlib.sha256(tenant.encode()).digest()
        self._hash = hashlib.blake2b(salt, digest_size=DIGEST_BYTES, person=b"unroll-prefix")
        self.digests = [self._hash.digest()]  # by number of whole blocks
        self._extend_digests()

    def extended_by(self, tokens: Sequence[int]) -> PrefixHashes:
        """The hashes of a longer text. Known blocks are not hashed again."""
        if not tokens:
            return self
        longer = PrefixHashes.__new__(PrefixHashes)
        longer.tokens = np.concatenate([self.tokens, np.array(tokens, dtype=TOKEN_TYPE)])
        longer._hash = self._hash.copy()
        longer.digests = self.digests.copy()
        longer._extend_digests()
        return longer

    @property
    def spacing(self) -> int:
        """The distance between regularly kept states, a multiple of the distance for shorter
        texts.
        """
        return (
            BLOCK_TOKENS << (len(self.tokens) // BLOCK_TOKENS // MAX_STATES_PER_TEXT).bit_length()
        )

    def after(self, length: int) -> bytes:
        """The tokens after the first ``length``, up to ``spacing`` of them, as bytes."""
        return self.tokens[length : length + self.spacing].tobytes()

    def _extend_digests(self) -> None:
        for end in range(len(self.digests) * BLOCK_TOKENS, len(self.tokens) + 1, BLOCK_TOKENS):
            self._hash.update(self.tokens[end - BLOCK_TOKENS : end].tobytes())
            self.digests.append(self._hash.copy().digest())


class CachedPrefix(NamedTuple):
    """A state and the number of tokens it has read.

    ``divergence``: the length up to which the text equals an earlier one.
    """

    length: int
    state: RowState
    divergence: int


class _Key(NamedTuple):
    digest: bytes
    tail: bytes


@dataclass(slots=True)
class _Entry:
    state: RowState
    next: bytes  # the tokens that followed at the last use


class PrefixCache:
    """The states of one model. ``limit_bytes`` 0 disables the cache."""

    def __init__(self, name: str, limit_bytes: int, observer: Observer) -> None:
        self._name = name
        self._limit = limit_bytes
        self._observer = observer
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()  # least recently used first
        self._tails: dict[bytes, Counter[int]] = {}  # lengths of the known tails of a digest
        self.nbytes = 0

    @property
    def enabled(self) -> bool:
        """Whether the cache can hold anything."""
        return self._limit > 0

    def find(self, hashes: PrefixHashes, most: int) -> CachedPrefix | None:
        """The state of the longest known prefix of at most ``most`` tokens.

        The caller must not modify the state.
        """
        if not self.enabled or most < SHORTEST_PREFIX:
            return None
        length, key = self._longest(hashes, most)
        self._observer.cache_lookup(self._name, hit=key is not None)
        if key is None:
            return None
        self._entries.move_to_end(key)
        entry, following = self._entries[key], hashes.after(length)
        divergence = length + _common(entry.next, following)
        change = len(following) - len(entry.next)
        entry.next = following
        self._grow(change)
        return CachedPrefix(length, entry.state, min(divergence, most))

    def put(
        self, hashes: PrefixHashes, length: int, state: RowState | Callable[[], RowState]
    ) -> None:
        """Keep the state after the first ``length`` tokens; evict the least recently used
        entries. ``state`` may be a function that copies the state, called if it is not known.
        """
        whole = length // BLOCK_TOKENS
        key = _Key(hashes.digests[whole], hashes.tokens[whole * BLOCK_TOKENS : length].tobytes())
        if key in self._entries:
            self._entries.move_to_end(key)
            return
        kept = state if isinstance(state, RowState) else state()
        entry = _Entry(kept, hashes.after(length))
        if length < SHORTEST_PREFIX or _size(key, entry) > self._limit:
            return
        self._entries[key] = entry
        self._tails.setdefault(key.digest, Counter())[len(key.tail)] += 1
        self._grow(_size(key, entry))

    def _longest(self, hashes: PrefixHashes, most: int) -> tuple[int, _Key | None]:
        for whole in range(most // BLOCK_TOKENS, -1, -1):
            digest = hashes.digests[whole]
            if digest not in self._tails:
                continue
            begin = whole * BLOCK_TOKENS
            rest = hashes.tokens[begin : min(begin + BLOCK_TOKENS - 1, most)].tobytes()
            for size in sorted(self._tails[digest], reverse=True):
                key = _Key(digest, rest[:size])
                if size <= len(rest) and key in self._entries:
                    return begin + size // TOKEN_TYPE.itemsize, key
        return 0, None

    def _grow(self, change: int) -> None:
        self.nbytes += change
        while self.nbytes > self._limit:
            self._evict_oldest()
        self._observer.cache_bytes(self._name, self.nbytes)

    def _evict_oldest(self) -> None:
        key, entry = self._entries.popitem(last=False)
        self.nbytes -= _size(key, entry)
        tails = self._tails[key.digest]
        tails[len(key.tail)] -= 1
        if not tails[len(key.tail)]:
            del tails[len(key.tail)]
        if not tails:
            del self._tails[key.digest]


def _common(one: bytes, other: bytes) -> int:
    """The number of equal leading tokens."""
    if one == other:
        return len(one) // TOKEN_TYPE.itemsize
    ones, others = np.frombuffer(one, TOKEN_TYPE), np.frombuffer(other, TOKEN_TYPE)
    shared = min(len(ones), len(others))
    different = np.flatnonzero(ones[:shared] != others[:shared])
    return int(different[0]) if len(different) else shared


def _size(key: _Key, entry: _Entry) -> int:
    return entry.state.nbytes + len(key.tail) + len(entry.next) + ENTRY_BYTES

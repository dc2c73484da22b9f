"""States after token prefixes, found by the longest one that a new sequence begins with.

A state of a few kilobytes stands for everything read so far, so a prefix that comes again need not
be read again. Bounded in bytes, least recently used first. Tenants never share: what one has had
read cannot be told from how fast another is answered. Used in the engine's thread only.

A prefix is cut into blocks of ``BLOCK`` tokens and a tail. An entry stands under the digest of its
blocks and its tail, so that a lookup hashes each block once and then tries the few tails that a
block can have. Knows no rows and no requests.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from model.state import State
from service.engine.observer import Observer

BLOCK = 64
DIGEST_BYTES = 16
OVERHEAD_BYTES = 600  # of an entry, besides its state and its tail
TOKEN_BYTES = 8  # of a tail


class Found(NamedTuple):
    """A state and how many tokens it has read."""

    length: int
    state: State


class _Key(NamedTuple):
    blocks: bytes
    tail: tuple[int, ...]


class StateCache:
    """States of one model. ``limit_bytes`` 0 keeps nothing."""

    def __init__(self, name: str, limit_bytes: int, observer: Observer) -> None:
        self._name = name
        self._limit = limit_bytes
        self._observer = observer
        self._entries: OrderedDict[_Key, State] = OrderedDict()  # least recently used first
        self._tails: Counter[bytes] = Counter()  # how many entries there are under a digest
        self.nbytes = 0

    @property
    def enabled(self) -> bool:
        """Whether anything can be kept."""
        return self._limit > 0

    def find(self, tenant: str, tokens: Sequence[int]) -> Found | None:
        """The state after the longest known prefix of the tokens, all of them at most.

        Whoever gets it must not change it.
        """
        if not self.enabled:
            return None
        found = self._longest(tenant, tokens)
        self._observer.cache_lookup(self._name, hit=found is not None)
        return found

    def put(self, tenant: str, tokens: Sequence[int], state: State) -> None:
        """Keeps the state after these tokens; forgets what was not used for longest."""
        whole = len(tokens) // BLOCK
        *_, digest = _digests(tenant, tokens)
        key = _Key(digest, tuple(tokens[whole * BLOCK :]))
        size = _size(key, state)
        if size > self._limit:
            return
        if key in self._entries:
            self._entries.move_to_end(key)
            return
        while self.nbytes + size > self._limit:
            self._forget_oldest()
        self._entries[key] = state
        self._tails[digest] += 1
        self.nbytes += size
        self._observer.cache_bytes(self._name, self.nbytes)

    def _longest(self, tenant: str, tokens: Sequence[int]) -> Found | None:
        for whole, digest in reversed(list(enumerate(_digests(tenant, tokens)))):
            if digest not in self._tails:
                continue
            begin = whole * BLOCK
            rest = tuple(tokens[begin : begin + BLOCK - 1])
            for length in range(len(rest), -1, -1):
                key = _Key(digest, rest[:length])
                state = self._entries.get(key)
                if state is not None:
                    self._entries.move_to_end(key)
                    return Found(begin + length, state)
        return None

    def _forget_oldest(self) -> None:
        key, state = self._entries.popitem(last=False)
        self.nbytes -= _size(key, state)
        self._tails[key.blocks] -= 1
        if not self._tails[key.blocks]:
            del self._tails[key.blocks]


def _digests(tenant: str, tokens: Sequence[int]) -> Iterator[bytes]:
    """One digest for each number of whole blocks, from none to all there are."""
    running = hashlib.blake2b(tenant.encode(), digest_size=DIGEST_BYTES, person=b"unroll-prefix")
    yield running.digest()
    for begin in range(0, len(tokens) - BLOCK + 1, BLOCK):
        running.update(array("q", tokens[begin : begin + BLOCK]).tobytes())
        yield running.copy().digest()


def _size(key: _Key, state: State) -> int:
    return state.nbytes + TOKEN_BYTES * len(key.tail) + OVERHEAD_BYTES

"""Items that wait for work, in an order that is fair by client, then by request.

The next item is the first one of the request that has been served least, of the client that has
been served least; service is the cost of the items taken so far. What is new counts as served as
much as all that are there would have been if they had shared equally (the virtual time of fair
queueing, Parekh and Gallager, 1993). It therefore has no claim on the past, and does not wait for
what others have asked for before it; between two that are equal the new one is first. Pure
bookkeeping: knows no texts and no clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class _Share:
    """How much has been served, and what part of the service is new in it begins with."""

    def __init__(self, served: float, number: int) -> None:
        self.served = served
        self.number = number  # in order of arrival
        self.virtual = 0.0

    @property
    def order(self) -> tuple[float, int]:
        """The lowest is next."""
        return self.served, -self.number


class _Request(_Share, Generic[Item]):
    def __init__(self, served: float, number: int, items: Sequence[Item]) -> None:
        super().__init__(served, number)
        self.items = dict.fromkeys(items)


class _Client(_Share, Generic[Item]):
    def __init__(self, served: float, number: int) -> None:
        super().__init__(served, number)
        self.requests: dict[Hashable, _Request[Item]] = {}


class FairQueue(Generic[Item]):
    """Iterates over all items, in no order that matters."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client[Item]] = {}
        self._whose: dict[Hashable, str] = {}  # the clients of the requests
        self._virtual = 0.0
        self._count = 0
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        for client in self._clients.values():
            for request in client.requests.values():
                yield from request.items

    def put(self, client: str, request: Hashable, items: Sequence[Item]) -> None:
        """Takes in the items of a new request."""
        number = next(self._numbers)
        owner = self._clients.setdefault(client, _Client(self._virtual, number))
        owner.requests[request] = _Request(owner.virtual, number, items)
        self._whose[request] = client
        self._count += len(items)

    def firsts(self) -> Iterator[Item]:
        """The first item of each request, the one whose turn it is first."""
        for client in sorted(self._clients.values(), key=_order):
            for request in sorted(client.requests.values(), key=_order):
                yield next(iter(request.items))

    def take(self, request: Hashable, item: Item, cost: float) -> None:
        """Removes an item that is being served at this cost."""
        client = self._clients[self._whose[request]]
        share = client.requests[request]
        del share.items[item]
        self._count -= 1
        client.served += cost
        share.served += cost
        self._virtual += cost / len(self._clients)
        client.virtual += cost / len(client.requests)
        if not share.items:
            self.discard(request)

    def discard(self, request: Hashable) -> None:
        """Removes what is left of a request, if anything is."""
        name = self._whose.pop(request, None)
        if name is None:
            return
        client = self._clients[name]
        self._count -= len(client.requests.pop(request).items)
        if not client.requests:
            del self._clients[name]


def _order(share: _Share) -> tuple[float, int]:
    return share.order

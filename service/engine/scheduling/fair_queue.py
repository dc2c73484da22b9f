"""A queue that is fair by client, then by request.

The next item is the first one of the least-served request of the least-served client. Service is
the cost of the items taken. A new client or request starts with the service that it would have had
if all present ones had shared equally: the virtual time of fair queueing (Parekh and Gallager,
1993). It therefore gets no credit for the past and does not wait for earlier requests of others.
Between two with equal service the new one comes first.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

QueueItem = TypeVar("QueueItem", bound=Hashable)


class _Share:
    """The service of a client or request, and the virtual time within it."""

    def __init__(self, served: float, number: int) -> None:
        self.served = served
        self.number = number  # order of arrival
        self.virtual = 0.0

    @property
    def order(self) -> tuple[float, int]:
        """The sort key; the lowest is next."""
        return self.served, -self.number


class _Request(_Share, Generic[QueueItem]):
    def __init__(self, served: float, number: int, items: Sequence[QueueItem]) -> None:
        super().__init__(served, number)
        self.items = dict.fromkeys(items)


class _Client(_Share, Generic[QueueItem]):
    def __init__(self, served: float, number: int) -> None:
        super().__init__(served, number)
        self.requests: dict[Hashable, _Request[QueueItem]] = {}


class FairQueue(Generic[QueueItem]):
    """Iterates over all items, in no particular order."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client[QueueItem]] = {}
        self._client_of: dict[Hashable, str] = {}  # the client of each request
        self._virtual = 0.0
        self._count = 0
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[QueueItem]:
        for client in self._clients.values():
            for request in client.requests.values():
                yield from request.items

    def put(self, client: str, request: Hashable, items: Sequence[QueueItem]) -> None:
        """Add the items of a new request."""
        number = next(self._numbers)
        owner = self._clients.setdefault(client, _Client(self._virtual, number))
        owner.requests[request] = _Request(owner.virtual, number, items)
        self._client_of[request] = client
        self._count += len(items)

    def firsts(self) -> Iterator[QueueItem]:
        """The first item of each request, in the order in which they are due."""
        for client in sorted(self._clients.values(), key=_order):
            for request in sorted(client.requests.values(), key=_order):
                yield next(iter(request.items))

    def take(self, request: Hashable, item: QueueItem, cost: float) -> None:
        """Remove an item that is now served at this cost."""
        client = self._clients[self._client_of[request]]
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
        """Remove the remaining items of a request, if any."""
        name = self._client_of.pop(request, None)
        if name is None:
            return
        client = self._clients[name]
        self._count -= len(client.requests.pop(request).items)
        if not client.requests:
            del self._clients[name]


def _order(share: _Share) -> tuple[float, int]:
    return share.order

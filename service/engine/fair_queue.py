"""Items that wait for work, in an order that is fair by client, then by request.

The next item is the first one of the request that has been served least, of the client that has
been served least; service is the cost of the items taken so far. A client or request that is new,
or comes back, counts as served as much as the least served one was when the last item was chosen,
so it neither waits for the past of others nor has a claim on them (start-time fair queueing,
Goyal, Vin and Cheng, 1996). Pure bookkeeping: knows no texts and no clock.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class _Share:
    """How much has been served, and the floor at which what is new in it begins."""

    def __init__(self, served: float) -> None:
        self.served = served
        self.floor = 0.0


class _Request(_Share, Generic[Item]):
    def __init__(self, served: float, items: Sequence[Item]) -> None:
        super().__init__(served)
        self.items = dict.fromkeys(items)


class _Client(_Share, Generic[Item]):
    def __init__(self, served: float) -> None:
        super().__init__(served)
        self.requests: dict[Hashable, _Request[Item]] = {}


class FairQueue(Generic[Item]):
    """Iterates over the items of each request in turn."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client[Item]] = {}
        self._whose: dict[Hashable, str] = {}  # the clients of the requests
        self._floor = 0.0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        for client in self._clients.values():
            for request in client.requests.values():
                yield from request.items

    def put(self, client: str, request: Hashable, items: Sequence[Item]) -> None:
        """Takes in the items of a new request."""
        owner = self._clients.setdefault(client, _Client(self._floor))
        owner.requests[request] = _Request(owner.floor, items)
        self._whose[request] = client
        self._count += len(items)

    def first(self) -> Item:
        """The item whose turn it is; there must be one."""
        client = min(self._clients.values(), key=_served)
        request = min(client.requests.values(), key=_served)
        self._floor, client.floor = client.served, request.served
        return next(iter(request.items))

    def take(self, request: Hashable, item: Item, cost: float) -> None:
        """Removes an item that is being served at this cost."""
        client = self._clients[self._whose[request]]
        share = client.requests[request]
        del share.items[item]
        self._count -= 1
        client.served += cost
        share.served += cost
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


def _served(share: _Share) -> float:
    return share.served

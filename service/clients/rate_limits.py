"""Rate limits by client: requests and tokens a second. Thread-safe.

Tokens are charged when a request is admitted, as many as it may use at most, and returned when it
has ended. The time to retry after is therefore certain: nothing but further requests of the same
client can make it longer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from service.clients.key_file import ClientLimits
from service.clients.token_bucket import TokenBucket
from service.engine.api.errors import RateLimited

MOST_BUCKETS = 20_000
"""Clients without keys are addresses, of which there may be any number."""


class RateLimits:
    """The buckets of all clients. ``rates`` gives the limits of a client, which may change."""

    def __init__(
        self,
        rates: Callable[[str], ClientLimits],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = rates
        self._clock = clock
        self._lock = threading.Lock()
        self._requests: dict[str, TokenBucket] = {}
        self._tokens: dict[str, TokenBucket] = {}

    def count_request(self, client: str) -> None:
        """Count a request. Raises RateLimited."""
        rate = self._rates(client).requests_per_second
        if rate is not None:
            self._take(self._requests, client, rate, 1, "requests")

    def limits_tokens(self, client: str) -> bool:
        """Whether the tokens of a client are limited."""
        return self._rates(client).tokens_per_second is not None

    def charge(self, client: str, read: int, generated: int) -> TokenCharge | None:
        """Charge the most tokens that a request may read and generate. None if the client has no
        limit. Raises RateLimited.
        """
        rate = self._rates(client).tokens_per_second
        if rate is None:
            return None
        self._take(self._tokens, client, rate, read + generated, "tokens")
        return TokenCharge(self, client, read, generated)

    def refund(self, client: str, tokens: int) -> None:
        """Return tokens that were charged and not used."""
        with self._lock:
            bucket = self._tokens.get(client)
            if bucket is not None and tokens > 0:
                bucket.take(-tokens, self._clock())

    def _take(
        self, buckets: dict[str, TokenBucket], client: str, rate: float, cost: int, unit: str
    ) -> None:
        with self._lock:
            now = self._clock()
            bucket = buckets.pop(client, None)
            if bucket is None or bucket.rate != rate:
                bucket = TokenBucket(rate, now)
            buckets[client] = bucket  # the last in order is the latest used
            seconds = bucket.seconds_until(cost, now)
            if seconds > 0:
                raise RateLimited(rate, unit, seconds)
            bucket.take(cost, now)
            _trim(buckets, now)


class TokenCharge:
    """The tokens that one request was charged."""

    def __init__(self, limits: RateLimits, client: str, read: int, generated: int) -> None:
        self._limits = limits
        self._client = client
        self._read = read
        self._generated = generated

    def settle(self, generated: int | None) -> None:
        """Return what was not used: ``generated`` is the number of tokens that were generated, None
        if the request was refused.
        """
        unused = self._generated - (generated or 0)
        if generated is None:
            unused += self._read
        self._limits.refund(self._client, unused)


def _trim(buckets: dict[str, TokenBucket], now: float) -> None:
    """Drop the buckets that were not used for the longest time, as far as they are full or there
    are too many; two at most, so that the work is small and their number falls.
    """
    for _ in range(2):
        oldest = next(iter(buckets))
        if len(buckets) <= MOST_BUCKETS and (len(buckets) == 1 or not buckets[oldest].is_full(now)):
            return
        del buckets[oldest]

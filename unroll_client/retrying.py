"""Which failures are retried, on which replica, and after how many seconds.

All requests are pure computations, so each may be sent again. A refusal (4xx other than 429) and an
answer that takes too long are not retried: the first would be refused again, the second doubles the
load of a slow service.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from unroll_client.errors import (
    ClientError,
    ConnectionFailedError,
    OverloadedError,
    UnavailableError,
    error_of,
)

RETRIED_STATUSES = (429, 502, 503)  # 502 is of a proxy whose replica has gone
# Failures before an answer has begun, without those of slow answers.
RETRIED_EXCEPTIONS = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Bounds of retries.

    Args:
        attempts: the most times that a request is sent; 1 retries nothing.
        longest_wait: seconds; a ``Retry-After`` beyond it ends the retries at once.
        first_wait: seconds before the first retry where the service names no time; doubled each
            time, with up to half of it taken off at random, so that clients do not come together.
    """

    attempts: int = 6
    longest_wait: float = 30.0
    first_wait: float = 0.2

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.longest_wait < 0 or self.first_wait < 0:
            raise ValueError(
                f"{self}: expected attempts of 1 or more, and waits of 0 seconds or more"
            )


class Replicas:
    """The base URLs of replicas, of which one is in use until it fails."""

    def __init__(self, urls: str | Sequence[str]) -> None:
        given = [urls] if isinstance(urls, str) else list(urls)
        if not given:
            raise ValueError("base_url: expected at least one URL")
        for url in given:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"base_url: expected http:// or https://, got {url!r}")
        self._urls = [url.rstrip("/") for url in given]
        self._current = 0

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def url(self) -> str:
        """The base URL of the replica in use."""
        return self._urls[self._current]

    def move_on(self, failed: str) -> None:
        """Uses the next replica, unless another request has done so meanwhile."""
        if failed == self.url:
            self._current = (self._current + 1) % len(self._urls)


class Attempts:
    """The attempts of one request: whether there is a further one, and the wait before it."""

    def __init__(self, policy: RetryPolicy, replicas: Replicas) -> None:
        self._policy = policy
        self._replicas = replicas
        self._made = 0
        self._waits = 0

    def wait_after(self, error: ClientError, url: str) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            ClientError: ``error``, if it is final or no attempt is left.
        """
        self._made += 1
        if self._made >= self._policy.attempts:
            raise error
        if isinstance(error, OverloadedError):  # the limit is that of the client, on any replica
            return self._bounded(error, error.retry_after)
        if isinstance(error, UnavailableError) and error.status not in RETRIED_STATUSES:
            raise error
        if not isinstance(error, UnavailableError | ConnectionFailedError):
            raise error
        self._replicas.move_on(url)
        if self._made < len(self._replicas):
            return 0.0  # another replica has not been tried
        return self._bounded(error, getattr(error, "retry_after", None))

    def _bounded(self, error: ClientError, retry_after: float | None) -> float:
        if retry_after is not None:
            if retry_after > self._policy.longest_wait:
                raise error
            return retry_after
        wait = self._policy.first_wait * 2.0**self._waits
        self._waits += 1
        return min(wait, self._policy.longest_wait) * random.uniform(0.5, 1.0)


def error_of_response(response: httpx.Response) -> ClientError:
    """The error of a response that has been read."""
    return error_of(response.status_code, response.content, seconds_of(response.headers))


def error_of_exception(error: httpx.TransportError, url: str) -> tuple[ClientError, bool]:
    """The error of a request that got no answer, and whether it may be retried."""
    reason = str(error) or type(error).__name__
    return ConnectionFailedError(f"{url}: {reason}"), isinstance(error, RETRIED_EXCEPTIONS)


def seconds_of(headers: httpx.Headers) -> float | None:
    """The time of Retry-After, which is a number of seconds or a date; None without one."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000" stands for UTC
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())

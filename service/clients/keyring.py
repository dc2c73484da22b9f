"""The API keys of the service: those of the settings and those of a file that may change.

Only digests are kept. The file is read again when its time, size or inode has changed, which is
checked at most once a second. While a new file is bad, the previous keys stay valid.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from service.clients.key_file import ClientLimits, KeyFile, KeyFileError, read_key_file

logger = logging.getLogger(__name__)
CHECK_SECONDS = 1.0
SHORT_KEY = 16  # characters
Version = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """The client that a key belongs to. ``tenant`` identifies it: equal for keys of one name."""

    tenant: str
    name: str | None = None


class Keyring:
    """Finds the owner of a key. Not thread-safe: all calls come from the event loop.

    Args:
        keys: keys of the settings, each a client of its own.
        file: the file of keys, if there is one.
        default_limits: limits of clients whose line in the file has none.

    Raises KeyFileError if the file cannot be used.
    """

    def __init__(
        self,
        keys: Iterable[str] = (),
        file: Path | None = None,
        *,
        default_limits: ClientLimits = ClientLimits(),  # noqa: B008
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        keys = tuple(keys)
        if any(len(key) < SHORT_KEY for key in keys):
            logger.warning("an API key has fewer than %d characters and can be guessed", SHORT_KEY)
        digests = [_digest(key.encode()) for key in keys]
        self._fixed = {digest: KeyOwner(digest.hex()) for digest in digests}
        self._path = file
        self._default_limits = default_limits
        self._clock = clock
        self._owners = dict(self._fixed)
        self._limits: dict[str, ClientLimits] = {}
        self._version: Version = None
        self._checked = clock()
        if file is not None:
            self._version = _version(file)
            self._use(read_key_file(file))

    @property
    def requires_key(self) -> bool:
        """Whether there are keys. That does not change while the service runs."""
        return bool(self._fixed) or self._path is not None

    def __len__(self) -> int:
        return len(self._owners)

    def owner(self, key: bytes) -> KeyOwner | None:
        """The owner of a key; None if the key is not valid.

        All digests are compared, each in constant time, so that the time tells nothing.
        """
        self._check_file()
        offered = _digest(key)
        found = None
        for digest, owner in self._owners.items():
            if hmac.compare_digest(digest, offered):
                found = owner
        return found

    def limits(self, client: str) -> ClientLimits:
        """The limits of a client: a tenant, or the address of a client without a key."""
        return self._limits.get(client, self._default_limits)

    def _check_file(self) -> None:
        now = self._clock()
        if self._path is None or now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._use(read_key_file(self._path))
        except KeyFileError as error:
            logger.error("the API keys are unchanged: %s", error)

    def _use(self, file: KeyFile) -> None:
        named = {digest: KeyOwner(_tenant(name), name) for digest, name in file.names.items()}
        self._owners = {**self._fixed, **named}
        self._limits = {
            _tenant(name): replace(self._default_limits, **own) for name, own in file.limits.items()
        }
        clients = len(set(file.names.values()))
        logger.info("%s: %d API keys of %d clients", self._path, len(file.names), clients)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _tenant(name: str) -> str:
    """An identity that no key of the settings has: those are digests of visible characters."""
    return hashlib.sha256(b"name\0" + name.encode()).hexdigest()


def _version(path: Path) -> Version:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino

"""The file of API keys: one key a line, as a digest.

    # NAME  sha256:DIGEST  LIMITS
    web     sha256:5e88...  requests_per_second=50 tokens_per_second=20000
    batch   sha256:0b14...

The digest is the SHA-256 of the key in hexadecimal. A plain digest is enough because keys are
random and long: a salt or a slow hash protects passwords, which can be guessed. Lines of one name
are keys of one client, which shares its limits, cache and states. A key is therefore replaced by
adding a second one, changing the clients, and removing the first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 1 << 20
LARGEST_RATE = 1e9
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_EMPTY_KEY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class KeyFileError(RuntimeError):
    """The file cannot be used. The message has the file, the line and the expected form."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The limits of a client: rates, and requests at a time; None: no limit."""

    requests_per_second: float | None = None
    tokens_per_second: float | None = None
    concurrent_requests: int | None = None


@dataclass(frozen=True, slots=True)
class KeyFile:
    """``names`` maps the digest of each key to its client's name, ``limits`` a name to its own
    limits.
    """

    names: Mapping[bytes, str] = field(default_factory=dict)
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_key_file(path: Path) -> KeyFile:
    """The keys of a file. Raises KeyFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(f"{path}: expected at most {MAX_FILE_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad = content.count(b"\n", 0, error.start) + 1
        raise KeyFileError(f"{path}:{bad}: expected text in UTF-8") from error
    names: dict[bytes, str] = {}
    limits: dict[str, Mapping[str, Any]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            _read_line(line.strip(), names, limits)
        except ValueError as error:
            raise KeyFileError(f"{path}:{number}: {error}") from error
    if not names:
        raise KeyFileError(f"{path}: the file has no key; unset the setting to require none")
    return KeyFile(names, limits)


def _read_line(line: str, names: dict[bytes, str], limits: dict[str, Mapping[str, Any]]) -> None:
    """Add the key of a line. Raises ValueError. Its message does not quote the line, which may have
    a key in place of the digest.
    """
    if not line or line.startswith("#"):
        return
    name, *rest = line.split()
    match = _DIGEST.fullmatch(rest[0]) if rest else None
    if not _NAME.fullmatch(name) or match is None:
        raise ValueError(
            "expected NAME sha256:DIGEST LIMITS; NAME has letters, digits and . _ - (at most 64), "
            "DIGEST has 64 hexadecimal digits"
        )
    if match[1].lower() == _EMPTY_KEY:
        raise ValueError("the digest is that of an empty key")
    digest = bytes.fromhex(match[1])
    if digest in names:
        raise ValueError(f"this key is already that of {names[digest]}")
    own = dict(map(_limit, rest[1:]))
    if len(own) != len(rest) - 1:
        raise ValueError("a limit is given twice")
    if own and name in names.values():
        raise ValueError(f"the limits of {name} belong on its first line")
    names[digest] = name
    if own:
        limits[name] = own


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in ClientLimits.__dataclass_fields__:
        expected = " or ".join(f"{field}=NUMBER" for field in ClientLimits.__dataclass_fields__)
        raise ValueError(f"expected {expected}")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number <= LARGEST_RATE:
        raise ValueError(f"{name}: expected a number above 0, at most {LARGEST_RATE:g}")
    if name != "concurrent_requests":
        return name, number
    if not number.is_integer():
        raise ValueError(f"{name}: expected a whole number")
    return name, int(number)

"""Reading of untrusted files: regular files of bounded size only, read into memory once.

The bytes that are checked are those that are used. A memory-mapped file may change or be truncated
while it is in use, and access after its new end kills the process.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from model.errors import ArtifactError

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC  # a FIFO must not block open()
_NOT_REGULAR = "expected a regular file; replace it with the file itself"
_REASONS = {
    errno.ENOENT: "missing; an artifact is a directory with this file",
    errno.ELOOP: "expected a regular file, got a symbolic link; replace it with the file itself",
    errno.ENXIO: _NOT_REGULAR,  # a socket
}


def read_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        ArtifactError: the file is missing, not readable, longer than ``max_bytes``, or not regular,
            such as a symbolic link.
    """
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            return _read(descriptor, _checked_size(path, os.fstat(descriptor), max_bytes))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ArtifactError(path, _REASONS.get(error.errno or 0) or _unreadable(error)) from error


def _checked_size(path: Path, status: os.stat_result, max_bytes: int) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise ArtifactError(path, _NOT_REGULAR)
    if status.st_size > max_bytes:
        raise ArtifactError(path, f"has {status.st_size} bytes, expected at most {max_bytes}")
    return status.st_size


def _read(descriptor: int, size: int) -> bytes:
    """At most ``size`` bytes, fewer if the file was truncated since its size was checked."""
    parts: list[bytes] = []
    while size > 0 and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror}; check its permissions"

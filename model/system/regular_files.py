"""Reads a file that somebody else has made: a regular one, of bounded size, into memory, once.

What is checked is then what is used: a mapped file can change or be cut while it is in use, and
reading beyond a mapped file's new end kills the process.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from model.errors import ArtifactError

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC  # a FIFO must not block open()
_NO_FILE = "expected a regular file; put the file itself there"
_WHY = {
    errno.ENOENT: "missing; an artifact is a directory with this file",
    errno.ELOOP: "expected a regular file, got a symbolic link; put the file itself there",
    errno.ENXIO: _NO_FILE,  # a socket
}


def read_file(path: Path, largest: int) -> bytes:
    """The bytes of a regular file; raises ArtifactError naming it. Symbolic links are refused."""
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            return _read(descriptor, _checked_size(path, os.fstat(descriptor), largest))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ArtifactError(path, _WHY.get(error.errno or 0) or _unreadable(error)) from error


def _checked_size(path: Path, status: os.stat_result, largest: int) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise ArtifactError(path, _NO_FILE)
    if status.st_size > largest:
        raise ArtifactError(path, f"has {status.st_size} bytes, expected at most {largest}")
    return status.st_size


def _read(descriptor: int, size: int) -> bytes:
    """As many bytes as there were when the size was checked, or fewer."""
    parts: list[bytes] = []
    while size > 0 and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror}; check its permissions"

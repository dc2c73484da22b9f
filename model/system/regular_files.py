"""Reading of untrusted files: regular files of bounded size only, read into memory once.

The bytes that are checked are those that are used. A memory-mapped file may change or be truncated
while it is in use, and access after its new end kills the process.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
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
    return RegularFile(path).read(max_bytes)


class RegularFile:
    """A regular file that stays open while this object exists.

    It keeps its content when another file takes its name, as :func:`model.artifact.save_artifact`
    does. Raises ArtifactError if the file is missing, not readable or not regular.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _errors_of(path):
            self._descriptor = os.open(path, _FLAGS)
        weakref.finalize(self, os.close, self._descriptor)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise ArtifactError(path, _NOT_REGULAR)

    def read(self, max_bytes: int) -> bytes:
        """The whole content. Raises ArtifactError if it is longer or cannot be read."""
        with _errors_of(self.path):
            size = os.fstat(self._descriptor).st_size
            if size > max_bytes:
                reason = f"has {size} bytes, expected at most {max_bytes}"
                raise ArtifactError(self.path, reason)
            return _read(self._descriptor, size)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Raises ArtifactError for an OSError."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(path, _REASONS.get(error.errno or 0) or _unreadable(error)) from error


def _read(descriptor: int, size: int) -> bytes:
    """At most ``size`` bytes, fewer if the file was truncated since its size was checked."""
    parts: list[bytes] = []
    begin = 0
    while begin < size and (part := os.pread(descriptor, size - begin, begin)):
        parts.append(part)
        begin += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror}; check its permissions"

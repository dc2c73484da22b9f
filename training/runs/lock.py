"""A lock on an output directory or file, so that one process at a time writes there.

The lock is `flock` on PLACE.lock, a file with the number of the process. The system releases the
lock when the process ends, also when it is killed. On a file system without locks a warning is
printed instead.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from training.errors import OutputError

RETRY_SECONDS = 0.2


@contextmanager
def exclusive_lock(
    place: Path, *, option: str = "--out", wait_seconds: float = 0.0
) -> Iterator[None]:
    """A block in which this process holds the lock of ``place``, which need not exist.

    ``wait_seconds``: for which it waits for another process that holds the lock.

    Raises:
        OutputError: another process holds it, or no file can be written beside ``place``.
    """
    if place.name in ("", ".."):
        raise OutputError(
            f"{place}: is no place of its own; give {option} a new name, such as {place / 'mine'}"
        )
    file = place.with_name(place.name + ".lock")
    new_parents = [parent for parent in file.parents if not parent.exists()]
    try:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _locked(file, place, option, time.monotonic() + wait_seconds)
        except OSError as error:
            raise OutputError(
                f"{place}: cannot be written: {error.strerror or error}; choose another {option}"
            ) from None
        try:
            yield
        finally:
            _release(file, descriptor)
    finally:
        for parent in new_parents:
            with suppress(OSError):  # it is not empty, or it could not be made
                parent.rmdir()


def _locked(file: Path, place: Path, option: str, until: float) -> int:
    """Opens and locks the lock file; returns its descriptor."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, place, option, until)
            is_current = _is_open(file, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if is_current:
            _write_number(file, descriptor)
            return descriptor
        os.close(descriptor)  # the earlier process has removed the file meanwhile


def _write_number(file: Path, descriptor: int) -> None:
    """Writes the number of this process; on a full disk no file is left."""
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except BaseException:
        _release(file, descriptor)
        raise


def _release(file: Path, descriptor: int) -> None:
    # Unlinked while it is locked: a process that has the file open finds that the name has gone.
    file.unlink(missing_ok=True)
    os.close(descriptor)


def _lock(descriptor: int, place: Path, option: str, until: float) -> None:
    try:
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
                time.sleep(RETRY_SECONDS)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
        process = f"process {holder}" if holder else "another process"
        raise OutputError(
            f"{place}: {process} is writing there; wait until it has ended, or choose another "
            f"{option}"
        ) from None
    except OSError as error:
        print(
            f"warning: {place}: cannot be locked ({error.strerror or error}); start no second "
            "process that writes there",
            file=sys.stderr,
        )


def _is_open(file: Path, descriptor: int) -> bool:
    """Whether the descriptor is of the file that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False

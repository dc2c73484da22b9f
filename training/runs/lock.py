"""One process at a time writes into an output directory or file: a lock that ends with its process.

The lock is `flock` on PLACE.lock, which holds the number of the process. The system releases it
however the process ends, so that what a killed process leaves behind blocks nobody. Where a file
system has no locks, a warning is written instead.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from training.errors import OutputError


@contextmanager
def only_user(place: Path, *, option: str = "--out") -> Iterator[None]:
    """Holds the lock of ``place``, which need not exist, for the length of the block.

    Raises:
        OutputError: another process holds it, or nothing can be written beside ``place``.
    """
    if place.name in ("", ".."):
        raise OutputError(
            f"{place}: is no place of its own; give {option} a new name, such as {place / 'mine'}"
        )
    file = place.with_name(place.name + ".lock")
    made = [parent for parent in file.parents if not parent.exists()]
    try:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _locked(file, place, option)
        except OSError as error:
            raise OutputError(
                f"{place}: cannot be written: {error.strerror or error}; choose another {option}"
            ) from None
        try:
            yield
        finally:
            _release(file, descriptor)
    finally:
        for parent in made:
            with suppress(OSError):  # something is in there now, or it could not be made
                parent.rmdir()


def _locked(file: Path, place: Path, option: str) -> int:
    """A descriptor that holds the lock."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, place, option)
            ours = _is_open(file, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if ours:
            _write_number(file, descriptor)
            return descriptor
        os.close(descriptor)  # the process before has removed it meanwhile


def _write_number(file: Path, descriptor: int) -> None:
    """Where the disk takes no number, it takes no model either: nothing is left behind."""
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except BaseException:
        _release(file, descriptor)
        raise


def _release(file: Path, descriptor: int) -> None:
    # While it is locked: a process that has it open finds out that it is no longer this file.
    file.unlink(missing_ok=True)
    os.close(descriptor)


def _lock(descriptor: int, place: Path, option: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
    """Whether the descriptor is of what has the name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False

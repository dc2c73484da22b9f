"""Training in several processes: a process group, and the protocol between rank 0 and the workers.

The main process (rank 0) alone reads the clock, evaluates, saves and reports. Before each step it
broadcasts a command with the progress of the run, so that all processes follow one schedule. The
workers wait for the next command. Communication is torch.distributed (gloo) between processes that
torchrun has started. A group of one process sends nothing.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from traceback import clear_frames
from typing import Protocol

import torch
import torch.distributed
import torch.distributed.nn.functional  # before there is a group: its default values hold one
from torch import Tensor

from training.errors import CheckpointError, DivergedError, LostProcessError
from training.runtime.signals import signals_recorded
from training.runtime.torchrun import process_count, process_rank

TIMEOUT = timedelta(days=30)  # preparing data may take hours; a process that died is noticed anyway


class Command(IntEnum):
    """The next action of the workers, sent by the main process."""

    BEGIN = 0  # load the checkpoint and join
    STEP = 1
    SAVE = 2  # send the state of this process
    END = 3
    AVERAGE = 4  # take the mean of the weights, which differ between the processes


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process as one of ``size``; ``rank`` counts from 0, the main process."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def share(self, lanes: int) -> slice:
        """The lanes of this process; ``lanes`` is a multiple of ``size``."""
        width = lanes // self.size
        return slice(self.rank * width, (self.rank + 1) * width)

    def rows(self, batch: Sequence[int]) -> tuple[Sequence[int], float]:
        """The rows of a batch that this process reads, and the weight of their mean.

        The mean of a batch is the mean over all processes of weight times the mean of their rows. A
        process without rows of its own reads one with a weight of 0.
        """
        own = batch[self.rank :: self.size]
        return own or batch[:1], self.size * len(own) / len(batch)

    def broadcast(self, command: Command, progress: float = 0.0) -> None:
        """Sends a command to the workers. Does nothing in a worker, which has received it."""
        if self.size > 1 and self.is_main:
            with noticing_lost_processes():
                torch.distributed.broadcast(_message(command, progress), src=0)

    def receive(self) -> tuple[Command, float]:
        """Waits for the next command of the main process, and the progress sent with it."""
        message = _message(Command.END, 0.0)
        with noticing_lost_processes():
            torch.distributed.broadcast(message, src=0)
        command, progress = message.tolist()
        return Command(int(command)), progress

    def means(self, *values: float) -> list[float]:
        """The mean of each value over all processes; every process calls it."""
        if self.size == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64)
        with noticing_lost_processes():
            torch.distributed.all_reduce(totals)
        return [total / self.size for total in totals.tolist()]

    def largest(self, value: int) -> int:
        """The largest value of all processes; every process calls it."""
        if self.size == 1:
            return value
        values = torch.tensor([value])
        with noticing_lost_processes():
            torch.distributed.all_reduce(values, torch.distributed.ReduceOp.MAX)
        return int(values)

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes by rank, all of one shape. Workers get an empty list."""
        if self.size == 1:
            return [tensor]
        bytes_N = tensor.contiguous().view(torch.uint8)
        gathered = [torch.empty_like(bytes_N) for _ in range(self.size)] if self.is_main else None
        with noticing_lost_processes():
            torch.distributed.gather(bytes_N, gathered, dst=0)
        return [received.view(tensor.dtype) for received in gathered or ()]


@contextmanager
def launched_process_group() -> Iterator[ProcessGroup]:
    """The processes that torchrun has started, or a group of this process alone.

    When the main process leaves the block, the workers are told to leave it, too.

    Raises:
        LostProcessError: another process has ended before its time.
    """
    process_group = ProcessGroup(process_rank(), process_count())
    if process_group.size == 1:
        yield process_group
        return
    with noticing_lost_processes():
        torch.distributed.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield process_group
    except BaseException as error:
        if isinstance(error, LostProcessError):  # torchrun ends the others; the message comes first
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _release_frames(error)
        raise
    finally:
        _end_workers(process_group)
        # A group that outlives this block runs threads into the interpreter's end, where they may
        # abort the process. DistributedDataParallel holds the group in reference cycles.
        gc.collect()
        torch.distributed.destroy_process_group()


class Worker(Protocol):
    """A run in a process that is not the main process."""

    def join(self) -> None:
        """Begins to train together with the other processes."""

    def step(self, progress: float) -> None:
        """Moves the weights, as every process does."""

    def average(self) -> None:
        """Takes part in the mean of the weights."""

    def gather_state(self) -> object:
        """Sends the main process the state that only this process has."""


def run_worker(process_group: ProcessGroup, begin: Callable[[], Worker]) -> None:
    """Obeys the main process until it ends.

    Args:
        process_group: of this process.
        begin: loads the checkpoint that the main process has saved before its first step.
    """
    with signals_recorded():  # the main process gets the signal, too; it saves and ends the run
        if process_group.receive()[0] is not Command.BEGIN:
            return
        worker = begin()
        worker.join()
        with suppress(DivergedError):  # the main process has the same error, and reports it
            while True:
                command, progress = process_group.receive()
                if command is Command.END:
                    return
                if command is Command.SAVE:
                    worker.gather_state()
                elif command is Command.AVERAGE:
                    worker.average()
                else:
                    worker.step(progress)


def check_processes(processes: int, process_group: ProcessGroup, file: Path, command: str) -> None:
    """Checks that a run is resumed by as many processes as have begun it.

    Raises:
        CheckpointError: ``processes`` have begun the run of ``command`` in ``file``.
    """
    if processes != process_group.size:
        start = "no torchrun"
        if processes > 1:
            start = f"torchrun --nproc-per-node {processes} -m training {command}"
        raise CheckpointError(
            f"{file}: the run was begun with {processes} processes, now there are "
            f"{process_group.size}; continue it with {start}, or begin anew with --overwrite"
        )


@contextmanager
def noticing_lost_processes() -> Iterator[None]:
    """Replaces gloo's error of a broken connection.

    Raises:
        LostProcessError: another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if "gloo" not in str(error):
            raise
        raise LostProcessError(
            "another process of this run has ended, so this one ends, too; the last checkpoint and "
            "the best model so far are kept: start the command again with --resume"
        ) from None


def _release_frames(error: BaseException) -> None:
    """Clears the local variables of the functions that an error has ended."""
    cause: BaseException | None = error
    while cause is not None:
        clear_frames(cause.__traceback__)
        cause = cause.__context__


def _end_workers(process_group: ProcessGroup) -> None:
    with suppress(LostProcessError):  # a worker has ended already
        process_group.broadcast(Command.END)


def _message(command: Command, progress: float) -> Tensor:
    return torch.tensor([command, progress], dtype=torch.float64)

"""Several processes that train one network: one leads, the others do what it announces.

The leader alone decides: it looks at the clock, evaluates, saves and talks. Before each step it
announces the progress, so that all follow one schedule; a process that has nothing to do waits for
the next order. Through torch.distributed (gloo) on processes that torchrun has started; a team of
one sends nothing. Knows neither networks nor data.
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
from training.runtime.signals import Interruption
from training.runtime.torchrun import process_count, process_rank

PATIENCE = timedelta(days=30)  # a leader may prepare its data for hours; a dead one is noticed


class Command(IntEnum):
    """What the leader announces. BEGIN: there is a checkpoint; load it and come along."""

    BEGIN = 0
    STEP = 1
    SAVE = 2
    END = 3


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process among ``size``; ``rank`` counts from 0, the leader."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, lanes: int) -> slice:
        """The lanes that are this process's; as many as anyone's."""
        width = lanes // self.size
        return slice(self.rank * width, (self.rank + 1) * width)

    def rows(self, batch: Sequence[int]) -> tuple[Sequence[int], float]:
        """Those of a batch that are this process's, about as many as anyone's, and their weight.

        The mean over all processes of what is a mean over their own rows, times the weight, is the
        mean over the batch. Who would have none reads one that weighs nothing.
        """
        own = batch[self.rank :: self.size]
        return own or batch[:1], self.size * len(own) / len(batch)

    def announce(self, order: Command, progress: float = 0.0) -> None:
        """Tells the others, if this is the leader; else nothing, for it has been told."""
        if self.size > 1 and self.leads:
            with noticing_lost_processes():
                torch.distributed.broadcast(_message(order, progress), src=0)

    def await_order(self) -> tuple[Command, float]:
        """The next order, and the progress that goes with it."""
        message = _message(Command.END, 0.0)
        with noticing_lost_processes():
            torch.distributed.broadcast(message, src=0)
        order, progress = message.tolist()
        return Command(int(order)), progress

    def means(self, *values: float) -> list[float]:
        """Of each value over all processes, which all ask for them."""
        if self.size == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64)
        with noticing_lost_processes():
            torch.distributed.all_reduce(totals)
        return [total / self.size for total in totals.tolist()]

    def gather(self, own: Tensor) -> list[Tensor]:
        """Everyone's tensor, of one shape, by rank: for the leader; the others get none."""
        if self.size == 1:
            return [own]
        bytes_N = own.contiguous().view(torch.uint8)
        everyone = [torch.empty_like(bytes_N) for _ in range(self.size)] if self.leads else None
        with noticing_lost_processes():
            torch.distributed.gather(bytes_N, everyone, dst=0)
        return [tensor.view(own.dtype) for tensor in everyone or ()]


@contextmanager
def launched_team() -> Iterator[ProcessGroup]:
    """The team that torchrun has started, or a team of one; when its leader leaves, all may.

    Raises:
        LostProcessError: another process has ended before its time.
    """
    team = ProcessGroup(process_rank(), process_count())
    if team.size == 1:
        yield team
        return
    with noticing_lost_processes():
        torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield team
    except BaseException as error:
        if isinstance(error, LostProcessError):  # torchrun ends who is left; first we tell why
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _let_go(error)
        raise
    finally:
        _dismiss(team)
        # A group that outlives this block runs threads into the interpreter's end, where they may
        # abort the process; what wraps a network holds the group in circles.
        gc.collect()
        torch.distributed.destroy_process_group()


class Follower(Protocol):
    """A run in a process that does not lead."""

    def join(self) -> None:
        """Goes on together with the other processes."""

    def step(self, progress: float) -> None:
        """Moves the weights, as all do."""

    def share_state(self) -> object:
        """Sends the leader what only this process has."""


def follow(team: ProcessGroup, begin: Callable[[], Follower]) -> None:
    """Does what the leader announces until it ends; the run begins when there is a checkpoint."""
    with Interruption():  # that the leader will hear of, too; it saves the run, and ends it
        if team.await_order()[0] is not Command.BEGIN:
            return
        run = begin()
        run.join()
        with suppress(DivergedError):  # the leader's, too: it tells
            while True:
                order, progress = team.await_order()
                if order is Command.END:
                    return
                if order is Command.SAVE:
                    run.share_state()
                else:
                    run.step(progress)


def check_processes(begun: int, team: ProcessGroup, file: Path, command: str) -> None:
    """CheckpointError if the run of ``command`` in ``file`` was begun with another number."""
    if begun != team.size:
        start = "no torchrun"
        if begun > 1:
            start = f"torchrun --nproc-per-node {begun} -m training {command}"
        raise CheckpointError(
            f"{file}: the run was begun with {begun} processes, now there are {team.size}; "
            f"continue it with {start}, or begin anew with --overwrite"
        )


@contextmanager
def noticing_lost_processes() -> Iterator[None]:
    """Turns what gloo says when a connection breaks into something for a person."""
    try:
        yield
    except RuntimeError as error:
        if "gloo" not in str(error):
            raise
        raise LostProcessError(
            "another process of this run has ended, so this one ends, too; the last checkpoint and "
            "the best model so far are kept: start the command again with --resume"
        ) from None


def _let_go(error: BaseException) -> None:
    """Of what the functions held that an error has ended."""
    cause: BaseException | None = error
    while cause is not None:
        clear_frames(cause.__traceback__)
        cause = cause.__context__


def _dismiss(team: ProcessGroup) -> None:
    try:
        team.announce(Command.END)
    except LostProcessError:  # it has ended already
        return


def _message(order: Command, progress: float) -> Tensor:
    return torch.tensor([order, progress], dtype=torch.float64)

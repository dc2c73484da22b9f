"""The progress of a command: a bar on a terminal, otherwise a line from time to time.

It shows the time left and metrics. A stream that cannot be written (a closed pipe or terminal, a
full disk) does not end the command.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

MAX_SECONDS = 1e8  # above which the time left is not shown in numbers
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar:24}|{postfix}"


class Progress:
    """A bar over the share of a run that is done.

    Args:
        label: the text before the bar.
        stream: the stream to write to; standard error by default.
        every_seconds: the time between two lines if the stream is not a terminal.
    """

    def __init__(
        self, label: str, *, stream: TextIO | None = None, every_seconds: float = 15.0
    ) -> None:
        self._stream = stream or sys.stderr
        self._label = label
        self._every = every_seconds
        self._began = self._shown = time.monotonic()
        self._bar = (
            tqdm(total=1.0, desc=label, file=self._stream, bar_format=BAR_FORMAT, leave=False)
            if self._stream.isatty()
            else None
        )

    def update(
        self, share: float, *, seconds_left: float | None = None, figures: dict[str, float]
    ) -> None:
        """Shows the progress.

        Args:
            share: the share that is done, from 0 to 1.
            seconds_left: the time left; None to estimate it from the time so far.
            figures: metrics by name.
        """
        now = time.monotonic()
        if seconds_left is None and share > 0:
            seconds_left = (now - self._began) * (1.0 - share) / share
        remaining = [] if seconds_left is None else [f"{format_duration(seconds_left)} left"]
        text = ", ".join(
            remaining + [f"{name} {_figure(value)}" for name, value in figures.items()]
        )
        if self._bar is not None:
            self._bar.n = min(1.0, share)
            with suppress(OSError):
                self._bar.set_postfix_str(text)
        elif now - self._shown >= self._every:
            self._shown = now
            self._write(f"{self._label} {share:4.0%}  {text}")

    def note(self, text: str) -> None:
        """Writes a permanent line above the bar."""
        with suppress(OSError):
            if self._bar is not None:
                self._bar.clear()
            self._write(text)
            if self._bar is not None:
                self._bar.refresh()

    def close(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            with suppress(OSError):
                self._bar.close()

    def _write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text + "\n")
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def format_duration(seconds: float) -> str:
    """A duration as "42 s", "3:05" or "1:02:03"."""
    if not seconds < MAX_SECONDS:
        return "years"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _figure(value: float) -> str:
    if abs(value) >= 1e9:
        return f"{value:.3e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"

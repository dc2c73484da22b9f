"""What a person sees of a run."""

import io

import pytest

from training.runs.progress import Progress, format_duration


class Terminal(io.StringIO):
    """A stream whose ``isatty`` is true."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_with_time_left_and_figures() -> None:
    """Notes are printed above the bar."""
    stream = Terminal()
    with Progress("lm", stream=stream) as bar:
        bar.update(0.25, seconds_left=75, figures={"loss": 4.5, "tokens/s": 12345.6})
        bar.note("step 3")
        bar.update(0.5, seconds_left=50, figures={"loss": 4.25})
    shown = stream.getvalue()
    assert "1:15 left, loss 4.500, tokens/s 12,346" in shown
    assert "25%" in shown
    assert "step 3\n" in shown


def test_elsewhere_a_line_is_written_now_and_then() -> None:
    """Without a terminal, progress is a line now and then and no bar."""
    stream = io.StringIO()
    with Progress("lm", stream=stream, every_seconds=0.0) as bar:
        bar.update(0.5, seconds_left=9.6, figures={"perplexity": 123.456})
    assert stream.getvalue() == "lm  50%  10 s left, perplexity 123.5\n"
    quiet = io.StringIO()
    with Progress("lm", stream=quiet, every_seconds=1000.0) as bar:
        for step in range(100):
            bar.update(step / 100, figures={})
    assert quiet.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1:01"), (3723, "1:02:03"), (-5, "0 s")],
)
def test_format_of_durations(seconds: float, expected: str) -> None:
    """Seconds, minutes, hours."""
    assert format_duration(seconds) == expected

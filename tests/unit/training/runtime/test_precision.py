"""The choice of the number format, and the refusal of one that the processor lacks."""

from pathlib import Path

import pytest

from training.commands.cli import main
from training.runtime import precision


def test_bfloat16_is_refused_exactly_where_a_step_breaks() -> None:
    """The check of the processor agrees with a step in a child process."""
    assert precision._runs_bfloat16() == precision._survives_bfloat16()


def test_the_format_that_is_chosen_is_never_refused() -> None:
    """The chosen format is one that the processor can train in."""
    precision.require_precision(precision.choose_precision())


@pytest.mark.parametrize("command", ["lm", "classifier"])
def test_a_format_that_the_processor_has_not_is_refused_first(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error names the alternative; no file is read and no directory made."""
    monkeypatch.setattr(precision, "_runs_bfloat16", lambda: False)
    data = ["--train", str(tmp_path / "absent.jsonl"), "--out", str(tmp_path / "model")]
    assert main([command, *data, "--precision", "bfloat16"]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert "--precision bfloat16: this processor" in stderr
    assert not (tmp_path / "model").exists()

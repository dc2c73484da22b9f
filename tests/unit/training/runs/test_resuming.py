"""--resume refuses the run of another command, and a directory without a run."""

from pathlib import Path

import pytest

from tests.integration.fault_tolerance.test_disk_failures import arguments
from tests.support.training.language_model_command import assert_one_line
from training.commands.cli import main


@pytest.mark.parametrize("command", ["lm", "classifier"])
def test_a_run_of_another_command_is_named(
    tmp_path: Path, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error names the command that continues the run."""
    out = tmp_path / "m"
    assert main([*arguments(command, tmp_path), "--out", str(out)]) == 0
    other = {"lm": "classifier", "classifier": "lm"}[command]
    capfd.readouterr()
    assert main([other, "--resume", "--out", str(out)]) == 2
    stderr = capfd.readouterr().err
    assert_one_line(stderr, f"is a run of `{command}`, not of `{other}`")
    assert f"python -m training {command} --resume --out {out}" in stderr


# The message, by the file in the directory.
FOUND = {
    "m": "is a file",
    "m/manifest.json": "holds an artifact without its run",
    "m/figures.json": "holds a report",
    "m/numbers.json": "holds plots of `gradients`",
    "m/letter.txt": "holds files, but no run",
    "m.run.draft/recipe.toml": "was ended before its first checkpoint",
    "other": "has no run; leave --resume out",
}


@pytest.mark.parametrize("file", FOUND)
@pytest.mark.parametrize("command", ["lm", "classifier"])
def test_resume_without_a_run_names_the_content_of_the_directory(
    tmp_path: Path, command: str, file: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error names in one line the content of the directory, which is unchanged."""
    out = tmp_path / "m"
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    assert main([command, "--resume", "--out", str(out)]) == 2
    assert_one_line(capfd.readouterr().err, "there is no checkpoint to continue from", FOUND[file])
    assert sorted(tmp_path.rglob("*")) == before


def test_the_directory_of_the_run_is_not_that_of_the_artifact(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The directory DIR.run is refused with the name of DIR."""
    assert main([*arguments("lm", tmp_path), "--out", str(tmp_path / "m")]) == 0
    capfd.readouterr()
    assert main(["lm", "--resume", "--out", str(tmp_path / "m.run")]) == 2
    assert_one_line(capfd.readouterr().err, f"give --out {tmp_path / 'm'}")


def test_an_option_that_differs_is_named_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only the option that differs is listed."""
    options, out = arguments("lm", tmp_path), tmp_path / "m"
    assert main([*options, "--out", str(out)]) == 0
    capfd.readouterr()
    options[options.index("--steps") + 1] = "31"
    assert main([*options, "--resume", "--out", str(out)]) == 2
    stderr = capfd.readouterr().err
    assert_one_line(stderr, "--steps was 30, now 31")
    assert stderr.count(" was ") == 1


def test_a_misspelled_option_of_a_recipe_is_answered_briefly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error suggests the nearest name and does not list all."""
    (tmp_path / "r.toml").write_text("epoch = 3\n")
    arguments_ = ["lm", "--recipe", str(tmp_path / "r.toml"), "--out", str(tmp_path / "m")]
    assert main(arguments_) == 2
    stderr = capfd.readouterr().err
    assert_one_line(stderr, "epoch: no such option (did you mean 'epochs'?)")
    assert len(stderr) < 300

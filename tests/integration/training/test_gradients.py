"""The gradients command: what it writes, what it refuses, and that the seed decides the numbers."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.training.language_model_command import EXACT, assert_one_line
from tests.support.training.synthetic_corpus import text
from training.analysis.analyze import GradientAnalysis
from training.analysis.results import NetworkResults
from training.commands.cli import main
from training.reports.gradients.lag_plot import spread_apart
from training.runtime.signals import Interrupted

pytestmark = pytest.mark.slow

TINY = [
    *("--hidden", "6", "--embedding", "5", "--steps", "4", "--batch", "4", "--length", "12"),
    *("--lags", "6", "--context", "12", "--excerpts", "8", "--explosion-steps", "3"),
    *("--radii", "0.5", "2"),
]
PNG = b"\x89PNG\r\n\x1a\n"


def gradients(out: Path, *options: str) -> int:
    """Runs the command; returns its exit status."""
    return main(["gradients", *options, "--out", str(out)])


def numbers(out: Path) -> Any:
    """The results of a run."""
    return json.loads((out / "numbers.json").read_text())


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the synthetic corpus."""
    out = tmp_path_factory.mktemp("gradients") / "plots"
    assert gradients(out, "--cells", "elman,gru,lstm,additive,sum", *TINY) == 0
    return out


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of two layers, and its text beside it."""
    directory = tmp_path_factory.mktemp("lm")
    (directory / "t.txt").write_text(text(100))
    options = ["--train", str(directory / "t.txt"), "--hidden", "6", "--embedding", "6", *EXACT]
    assert main(["lm", *options, "--steps", "3", "--out", str(directory / "model")]) == 0
    return directory / "model"


def test_all_files_are_written(plots: Path) -> None:
    """Plots, a page with all of them and no reference to other files, numbers, and the recipe."""
    names = ["flow", "radii", "initializations"]
    names += ["theory-elman", "theory-gru", "theory-lstm", "theory-additive", "updates"]
    names += ["clipping", "clipping-direction", "context", "gates-gru", "gates-lstm"]
    written = {path.name for path in plots.iterdir()}
    assert written == {f"{name}.{kind}" for name in names for kind in ("png", "svg")} | {
        "index.html",
        "numbers.json",
        "recipe.toml",
    }
    for name in names:
        assert (plots / f"{name}.png").read_bytes().startswith(PNG)
    page = (plots / "index.html").read_text()
    sections = re.findall(
        r'<section id="(.+)">\n<h2>.+</h2>\n<p>.+</p>\n<picture>\n<source .+>\n<img ', page
    )
    assert sections == names
    assert page.count("<img ") == len(names)
    assert page.count('src="data:image/svg+xml;base64,') == len(names)
    assert re.findall(r'(?:src|srcset|href)="(?!data:)', page) == []
    assert "://" not in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "It is shown for comparison" in page


def test_numbers_are_complete_and_finite(plots: Path) -> None:
    """Flow before and after, theory of each cell, context, gates, clipping."""
    results = numbers(plots)
    networks = {network["name"]: network for network in results["networks"]}
    assert list(networks) == ["elman", "gru", "lstm", "additive", "sum"]
    for network in networks.values():
        for flow in (*network["initial"], *network["flow"]):
            assert len(flow["hidden"]) == 7
            assert all(math.isfinite(value) and value > 0 for value in flow["hidden"])
            assert all(len(line) == 7 for line in flow["theory"].values())
        assert network["context"]["tokens"] == [1, 2, 3, 5, 7, 10, 12]
    assert networks["lstm"]["flow"][0]["cell"] is not None
    assert set(networks["gru"]["gates"][0]) == {"reset", "update"}
    assert len(networks["lstm"]["gates"][0]["forget"]["open"]) == 6
    assert set(networks["additive"]["flow"][0]["theory"]) == {"jacobian_product"}
    assert networks["sum"]["flow"][0]["theory"] == {}
    groups = networks["lstm"]["training"]["groups"]
    assert set(groups) == {"word vectors", "W_x", "W_h", "b", "h_0", "output layer"}
    norms = networks["lstm"]["training"]["norms"]
    for step, norm in enumerate(norms):
        squares = sum(values[step] ** 2 for values in groups.values())
        assert math.sqrt(squares) == pytest.approx(norm)
    assert [flow["radius"] for flow in results["radii"]] == [0.5, 2.0]
    starts = [(flow["cell"], flow["initialization"]) for flow in results["initializations"]]
    assert starts == [(c, i) for i in ("torch", "orthogonal") for c in ("elman", "gru", "lstm")]
    assert results["initializations"][0]["flow"] == networks["elman"]["initial"][0]
    assert results["complete"]
    assert [len(curve["losses"]) for curve in results["clipping"].values()] == [3, 3, 3]
    assert results["recipe"]["seed"] == 1


@pytest.mark.slow
def test_the_seed_decides_the_numbers(plots: Path, tmp_path: Path) -> None:
    """The recipe that was written repeats all numbers; another seed gives others."""
    recipe = ["--recipe", str(plots / "recipe.toml")]
    assert gradients(tmp_path / "again", *recipe) == 0
    assert gradients(tmp_path / "other", *recipe, "--seed", "2", "--cells", "elman") == 0
    assert numbers(tmp_path / "again") == numbers(plots)
    other = numbers(tmp_path / "other")["networks"]
    assert [network["name"] for network in other] == ["elman"]
    assert other[0]["flow"] != numbers(plots)["networks"][0]["flow"]


def test_an_artifact_is_looked_into_as_it_is(
    artifact: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every layer is analyzed, without training, on the given text."""
    asked = ["--artifact", str(artifact), "--data", str(artifact.parent / "t.txt")]
    small = ["--lags", "6", "--context", "12", "--excerpts", "8"]
    assert gradients(tmp_path / "plots", *asked, *small) == 0
    (network,) = numbers(tmp_path / "plots")["networks"]
    assert network["name"] == "model"
    assert network["initial"] is None
    assert len(network["flow"]) == len(network["gates"]) == 2
    written = {path.stem for path in (tmp_path / "plots").glob("*.png")}
    assert written == {"flow", "theory-model", "context", "gates-model"}
    assert "index.html" in capfd.readouterr().err


def test_several_artifacts_are_compared_on_the_same_text(artifact: Path, tmp_path: Path) -> None:
    """One plot for all; an artifact beside itself has the same numbers under another name."""
    data = ["--data", str(artifact.parent / "t.txt")]
    small = ["--lags", "6", "--context", "12", "--excerpts", "8"]
    asked = ["--artifact", str(artifact), str(artifact), *data, *small]
    assert gradients(tmp_path / "plots", *asked) == 0
    results = numbers(tmp_path / "plots")
    one, other = results["networks"]
    assert (one.pop("name"), other.pop("name")) == ("model", "model-2")
    assert one == other
    assert not results["tokens_differ"]
    written = {path.stem for path in (tmp_path / "plots").glob("*.svg")}
    assert {"flow", "context", "theory-model", "theory-model-2"} <= written


def test_a_stopped_run_keeps_its_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The networks that were finished are written, and the page says that others are missing."""
    analyzed = GradientAnalysis.small_network

    def stops_at_gru(self: GradientAnalysis, name: str) -> NetworkResults:
        if name == "gru":
            raise Interrupted(signal.SIGTERM)
        return analyzed(self, name)

    monkeypatch.setattr(GradientAnalysis, "small_network", stops_at_gru)
    out = tmp_path / "plots"
    assert gradients(out, "--cells", "elman,gru,lstm", *TINY) == 128 + signal.SIGTERM
    assert [network["name"] for network in numbers(out)["networks"]] == ["elman"]
    assert {path.stem for path in out.glob("*.png")} == {
        "flow",
        "theory-elman",
        "updates",
        "context",
    }
    assert "stopped before its end" in (out / "index.html").read_text()
    assert capfd.readouterr().err.strip().endswith("interrupted")


def test_a_network_of_one_unit_has_a_table_of_factors(tmp_path: Path) -> None:
    """Each factor is tanh' W_h, and each product that of the factors from its row on."""
    options = ["--cells", "elman", *TINY, "--hidden", "1"]
    assert gradients(tmp_path / "plots", *options) == 0
    (network,) = numbers(tmp_path / "plots")["networks"]
    product = 1.0
    for step in reversed(network["factors"]):
        assert step["slope"] == pytest.approx(1 - step["hidden"] ** 2)
        assert step["factor"] == pytest.approx(step["slope"] * step["weight"])
        product *= step["factor"]
        assert step["product"] == pytest.approx(product)
    assert len(network["factors"]) == 12
    assert '<section id="factors">' in (tmp_path / "plots" / "index.html").read_text()


def test_small_networks_read_files_by_characters(tmp_path: Path) -> None:
    """With ``--data``; the report has the name of the file and not its directory."""
    (tmp_path / "t.txt").write_text(text(60))
    asked = ["--cells", "gru", "--data", str(tmp_path / "t.txt")]
    assert gradients(tmp_path / "plots", *asked, *TINY) == 0
    results = numbers(tmp_path / "plots")
    assert results["text"] == "t.txt"
    assert results["data"][0]["bytes"] == len(text(60))
    assert str(tmp_path) not in (tmp_path / "plots" / "numbers.json").read_text()


REFUSED: dict[str, tuple[Sequence[str], str]] = {
    "a cell": (["--cells", "elman,mlp"], "--cells: expected some of elman,gru,lstm,additive,sum"),
    "no cell": (["--cells", ""], "--cells: expected some of"),
    "a radius": (["--radii", "1", "0"], "--radii: expected at most 12 numbers from 0.001"),
    "a size": (["--hidden", "0"], "--hidden: expected more than 0"),
    "a rate": (["--learning-rate", "nan"], "--learning-rate: expected a number, got nan"),
    "a seed": (["--seed", "-1"], "--seed: expected 0 or more"),
    "threads": (["--threads", "99999999999"], "--threads: expected at most 1024, got 99999999999"),
    "both": (["--artifact", "x", "--cells", "gru", "--data", "x"], "--cells: with --artifact"),
    "no data": (["--artifact", "x"], "--data: give the text"),
    "no artifact": (["--artifact", "none", "--data", "x"], "none/manifest.json: missing"),
    "no file": (["--data", "none.txt"], "none.txt: cannot be read"),
    "a recipe": (["--recipe", "none.toml"], "none.toml: cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_gets_a_one_line_message(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The line names the option or the file, and nothing is written."""
    options, message = REFUSED[case]
    assert gradients(tmp_path / "plots", *options) == 2
    assert_one_line(capfd.readouterr().err, message)
    assert list(tmp_path.iterdir()) == []


def test_short_documents_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The message names the options to lower."""
    (tmp_path / "t.txt").write_text("too short\n" * 20)
    options = ["--data", str(tmp_path / "t.txt"), "--unit", "line"]
    assert gradients(tmp_path / "plots", *options) == 2
    assert_one_line(capfd.readouterr().err, "t.txt: the longest document", "lower --lags")


def test_more_excerpts_than_memory_holds_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The limit is checked before any work."""
    assert gradients(tmp_path / "plots", "--excerpts", "1000000000") == 2
    assert_one_line(capfd.readouterr().err, "--excerpts", "at most 100,000")


def test_other_files_are_not_overwritten(
    plots: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Other files are never overwritten, earlier plots only with --overwrite."""
    (tmp_path / "precious.txt").write_text("mine")
    assert gradients(tmp_path, *TINY, "--overwrite") == 2
    assert_one_line(capfd.readouterr().err, "holds files but no plots")
    assert gradients(tmp_path / "precious.txt", *TINY) == 2
    assert_one_line(capfd.readouterr().err, "is a file")
    assert gradients(tmp_path / "precious.txt" / "plots", *TINY) == 2
    assert_one_line(capfd.readouterr().err, "cannot be made", "another --out")
    assert gradients(plots, *TINY) == 2
    assert_one_line(capfd.readouterr().err, "holds plots already", "--overwrite")


def test_without_matplotlib_one_line_gives_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message comes before any training and has the command that installs it."""
    monkeypatch.setattr("training.reports.plotting.find_spec", lambda _: None)
    assert gradients(tmp_path / "plots") == 2
    assert_one_line(capfd.readouterr().err, "matplotlib", "pip install")


def test_importing_the_command_does_not_load_matplotlib() -> None:
    """Matplotlib is imported when the first plot is drawn."""
    asked = "import sys, training.commands.gradients; print('matplotlib' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


def test_labels_are_moved_apart_as_little_as_can_be() -> None:
    """Distant labels stay; close ones are spread about their mean, and all stay between 0 and 1."""
    assert spread_apart([], 0.1) == []
    assert spread_apart([0.2, 0.5], 0.1) == [0.2, 0.5]
    assert spread_apart([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert spread_apart([0.0, 0.0, 0.9], 0.1) == pytest.approx([0.0, 0.1, 0.9])
    assert spread_apart([1.0, 1.0], 0.1) == pytest.approx([0.9, 1.0])
    crowded = spread_apart([0.5] * 30, 0.1)
    assert crowded == pytest.approx([place / 29 for place in range(30)])


def test_networks_that_diverge_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, status 1, and no plots."""
    options = ["--cells", "elman", "--steps", "3", "--excerpts", "4", "--lags", "5"]
    wild = ["--context", "5", "--hidden", "4", "--learning-rate", "1e30", "--clip-norm", "1e-6"]
    out = tmp_path / "plots"
    assert main(["gradients", *options, *wild, "--out", str(out)]) == 1
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last.startswith("error: ")
    assert "lower --learning-rate" in last
    assert not out.exists()

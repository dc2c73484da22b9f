"""The lm command: real files in, a real artifact out, killed runs continued bit for bit."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from model.artifact import load_artifact
from model.networks import LanguageModel
from tests.support.training.language_model_command import (
    EXACT,
    SMALL,
    assert_one_line,
    assert_same_weights,
    corpus_options,
    run,
    start,
    wait_for_log,
    weights,
)
from tests.support.training.synthetic_corpus import text
from training.commands.cli import main
from training.evaluation.perplexity import Likelihood, likelihood
from training.runs.directory import read_log


@pytest.fixture
def corpus(tmp_path: Path) -> list[str]:
    """Options that name training and validation files and a small network."""
    return corpus_options(tmp_path)


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_training_learns_the_grammar(corpus: list[str], tmp_path: Path, cell: str) -> None:
    """Perplexity falls from 20 or so, the size of the vocabulary, towards the grammar's 2.3."""
    out = tmp_path / "model"
    status = main(["lm", *corpus, "--cell", cell, "--steps", "250", "--out", str(out)])
    assert status == 0
    artifact = load_artifact(out)
    assert isinstance(artifact.network, LanguageModel)
    assert artifact.network.architecture.cell == cell
    assert artifact.manifest.metrics["validation_perplexity"] < 4.5
    assert artifact.manifest.provenance["seed"] == 1


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_other_tokenizers_train_as_well(corpus: list[str], tmp_path: Path, tokenizer: str) -> None:
    """Character and BPE models train with a budget of epochs."""
    out = tmp_path / "model"
    options = ["--tokenizer", tokenizer, "--epochs", "1", "--out", str(out)]
    assert main(["lm", *corpus, *options]) == 0
    artifact = load_artifact(out)
    assert artifact.tokenizer.kind == tokenizer
    assert artifact.manifest.metrics["training_epochs"] == pytest.approx(1.0)


def test_a_test_split_is_measured_at_the_end(
    corpus: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """--test: its perplexity per token and per word, as `evaluate` computes both."""
    out, test, json_path = tmp_path / "model", tmp_path / "test.txt", tmp_path / "told.json"
    test.write_text(text(50, seed=3))
    options = ["--test", str(test), "--steps", "20", "--out", str(out)]
    assert main(["lm", *corpus, *options]) == 0
    stderr = capfd.readouterr().err
    assert "per token, " in stderr
    assert "all steps were taken" in stderr
    assert "this perplexity is per word, punctuation mark and line end" in stderr
    assert main(["evaluate", str(out), "--data", str(test), "--json", str(json_path)]) == 0
    evaluated = json.loads(json_path.read_text(encoding="utf-8"))
    manifest = load_artifact(out).manifest
    for name in ("perplexity", "word_perplexity"):
        assert manifest.metrics[f"test_{name}"] == pytest.approx(evaluated[name], rel=1e-3)
    assert manifest.metrics["test_tokens"] == evaluated["tokens"]
    assert evaluated["word_and_line_perplexity"] < evaluated["word_perplexity"]


def test_half_the_bytes_are_what_is_measured(
    corpus: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --storage float16 the file is half as large, and its figures are of what it holds."""
    whole, half = tmp_path / "whole", tmp_path / "half"
    rounded = []

    def spy(network: LanguageModel, *given: Any, **more: Any) -> Likelihood:
        if "deadline" in more:  # the last evaluation, whose figures the artifact has
            rounded.append(all(torch.equal(p, p.half().float()) for p in network.parameters()))
        return likelihood(network, *given, **more)

    monkeypatch.setattr("training.trainers.language_model.likelihood", spy)
    for out, storage in ((whole, "float32"), (half, "float16")):
        options = ["--steps", "40", "--storage", storage, "--out", str(out)]
        assert main(["lm", *corpus, *options]) == 0
    assert rounded == [False, True]
    sizes = [(out / "weights.safetensors").stat().st_size for out in (half, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    json_path = tmp_path / "told.json"
    valid = corpus[corpus.index("--valid") + 1]
    assert main(["evaluate", str(half), "--data", valid, "--json", str(json_path)]) == 0
    evaluated = json.loads(json_path.read_text(encoding="utf-8"))
    metrics = load_artifact(half).manifest.metrics
    assert evaluated["perplexity"] == pytest.approx(metrics["validation_perplexity"], rel=1e-4)


def test_a_killed_run_ends_as_the_unbroken_one(corpus: list[str], tmp_path: Path) -> None:
    """Kill -9 in the middle, --resume, and every weight is the same to the last bit.

    Sampled softmax, dropout, restarts, averaging and weight drop are all on, so all that draws
    random numbers or remembers something has to be restored.
    """
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    options = [*corpus, "--steps", "60", "--softmax", "sampled", "--candidates", "10"]
    assert main(["lm", *options, "--out", str(unbroken)]) == 0

    often = [*options, "--checkpoint-seconds", "0.001", "--out", str(broken)]
    child = start(*often)
    wait_for_log(tmp_path / "broken.run" / "log.jsonl", events=5)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL

    resumed = run("--resume", "--out", str(broken))
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed at step" in resumed.stderr
    assert_same_weights(unbroken, broken)
    log = read_log(tmp_path / "broken.run" / "log.jsonl")
    assert len(log) == len({(record["event"], record["step"]) for record in log})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_run_and_names_resume(
    corpus: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    """Though no regular checkpoint was due for an hour."""
    out = tmp_path / "model"
    options = [*corpus, "--steps", "100000", "--checkpoint-seconds", "3600", "--out", str(out)]
    child = start(*options, "--evaluations", "10000")
    wait_for_log(tmp_path / "model.run" / "log.jsonl", events=2)
    child.send_signal(number)
    _, stderr = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert "--resume" in stderr
    assert "Traceback" not in stderr


def test_one_seed_decides_a_run(corpus: list[str], tmp_path: Path) -> None:
    """The same seed gives the same weights, another seed others."""
    options = [*corpus, "--steps", "20"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main(["lm", *options, "--seed", seed, "--out", str(tmp_path / name)]) == 0
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "a", tmp_path / "c")


def test_the_recipe_of_a_run_repeats_it(corpus: list[str], tmp_path: Path) -> None:
    """The recipe contains the values that the run chose by itself."""
    one, other = tmp_path / "one", tmp_path / "other"
    assert main(["lm", *corpus, "--steps", "15", "--name", "same", "--out", str(one)]) == 0
    recipe = str(tmp_path / "one.run" / "recipe.toml")
    assert main(["lm", "--recipe", recipe, "--out", str(other)]) == 0
    assert_same_weights(one, other)


def test_minutes_are_kept(corpus: list[str], tmp_path: Path) -> None:
    """The command ends near its time, the final validation and saving included.

    The time is several times what a run of one step takes here, so that a slow machine has enough.
    """
    began = time.monotonic()
    assert main(["lm", *corpus, "--steps", "1", "--out", str(tmp_path / "short")]) == 0
    budget = max(4.0, 5.0 * (time.monotonic() - began))
    began = time.monotonic()
    options = ["--minutes", str(budget / 60), "--out", str(tmp_path / "model")]
    assert main(["lm", *corpus, *options]) == 0
    assert 0.5 * budget < time.monotonic() - began < 1.5 * budget
    metrics = load_artifact(tmp_path / "model").manifest.metrics
    assert 0.5 * budget < metrics["training_seconds"] < 1.5 * budget
    assert metrics["validation_tokens"] > 0


def test_minutes_too_few_for_one_step_are_refused(
    corpus: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Rather than saving a network that has learned nothing."""
    assert main(["lm", *corpus, "--minutes", "0.0001", "--out", str(tmp_path / "m")]) == 2
    assert_one_line(capfd.readouterr().err, "--minutes: 0.0001 is over before the first step")
    assert not (tmp_path / "m.run").exists()


def test_a_complete_run_is_left_as_it_is(corpus: list[str], tmp_path: Path) -> None:
    """Resuming a finished run prints a note; a missing artifact is written again."""
    out = tmp_path / "m"
    assert main(["lm", *corpus, "--steps", "4", "--out", str(out)]) == 0
    before = (out / "manifest.json").read_bytes()
    assert main(["lm", "--resume", "--out", str(out)]) == 0
    assert (out / "manifest.json").read_bytes() == before
    trained = weights(out)
    shutil.rmtree(out)
    assert main(["lm", "--resume", "--out", str(out)]) == 0
    again = weights(out)
    assert all(torch.equal(again[name], trained[name]) for name in trained)


def test_patience_ends_a_run_that_no_longer_gets_better(tmp_path: Path) -> None:
    """Validation on text of another language gets worse as training goes on."""
    (tmp_path / "train.txt").write_text("a b a b a b a c " * 300)
    (tmp_path / "valid.txt").write_text("c c c b b b c c " * 20)
    files = ["--train", str(tmp_path / "train.txt"), "--valid", str(tmp_path / "valid.txt")]
    out = tmp_path / "model"
    options = ["--steps", "100000", "--evaluations", "20000", "--patience", "3", "--out", str(out)]
    assert main(["lm", *files, *SMALL, *EXACT, *options]) == 0
    lines = (tmp_path / "model.run" / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    losses = [record["loss"] for record in log if record["event"] == "validation"]
    assert min(losses) < min(losses[-3:])
    best = load_artifact(out).manifest.metrics["validation_loss"]
    assert best == pytest.approx(min(losses), rel=1e-3)


def test_without_validation_files_a_part_is_held_out(
    corpus: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without --valid a part of the text is held out, and a note reports it."""
    train_only = [*corpus[:2], *corpus[4:]]
    assert main(["lm", *train_only, "--steps", "3", "--out", str(tmp_path / "m")]) == 0
    assert "no --valid: the last 5% of the text is held out" in capfd.readouterr().err


def test_frozen_embeddings_from_a_file_stay(corpus: list[str], tmp_path: Path) -> None:
    """Words of the file have its vectors after training as before."""
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("dog 1 2 3\nking 4 5 6\n")
    out = tmp_path / "m"
    options = ["--vectors", str(vectors), "--freeze-embeddings", "--no-tied", "--embedding", "3"]
    assert main(["lm", *corpus, *options, "--steps", "5", "--out", str(out)]) == 0
    artifact = load_artifact(out)
    assert isinstance(artifact.network, LanguageModel)
    (dog,) = artifact.tokenizer.encode(" dog")
    assert artifact.network.embedding.weight[dog].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("content", ["x", "x\n", "a b", "[END]", "[UNK] [UNK] a\n"])
def test_next_to_no_text_is_enough(tmp_path: Path, content: str) -> None:
    """Odd, but no reason to crash."""
    (tmp_path / "t.txt").write_text(content)
    file = str(tmp_path / "t.txt")
    options = ["--train", file, "--valid", file, "--minimum-count", "1", "--steps", "3"]
    assert main(["lm", *options, *SMALL, *EXACT, "--out", str(tmp_path / "m")]) == 0


def test_many_short_documents_are_learned(tmp_path: Path) -> None:
    """One record, one document: generation must learn to end them."""
    lines = text(300).splitlines()
    file = tmp_path / "t.jsonl"
    file.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    options = ["--train", str(file), "--steps", "250", "--out", str(tmp_path / "m")]
    assert main(["lm", *options, *SMALL, *EXACT]) == 0
    artifact = load_artifact(tmp_path / "m")
    assert isinstance(artifact.network, LanguageModel)
    ids = [artifact.tokenizer.end, *artifact.tokenizer.encode(lines[0])]
    network = artifact.network
    logits_TBV, _ = network(torch.tensor(ids).unsqueeze(1), network.initial_state(1))
    assert logits_TBV[-1, 0].softmax(0)[artifact.tokenizer.end] > 0.5


def test_help_needs_no_torch() -> None:
    """The help is printed without loading torch, so it is printed at once."""
    code = (
        "import sys\nfrom training.commands.cli import main\n"
        "try: main(['lm', '--help'])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "--bptt" in child.stdout

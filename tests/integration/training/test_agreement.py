"""The agreement command on trained models: accuracy, unknown words, and refused input."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from training.commands.cli import main
from training.evaluation.agreement_results import PairAccuracy, count_outcomes
from training.readers.minimal_pairs import MinimalPair

NOUNS = {"dog": "dogs", "cat": "cats", "king": "kings"}
PLACES = ["in the house", "on the hill", "with the hat"]


def sentence(generator: random.Random) -> str:
    """A sentence whose verb agrees with its subject, with or without a phrase between them."""
    noun = generator.choice(list(NOUNS))
    plural = generator.random() < 0.5
    subject, verb = (NOUNS[noun], "are") if plural else (noun, "is")
    place = f" {generator.choice(PLACES)}" if generator.random() < 0.5 else ""
    return f"The {subject}{place} {verb} old."


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word and a character model trained on one grammar."""
    directory = tmp_path_factory.mktemp("models")
    generator = random.Random(1)
    (directory / "t.txt").write_text(" ".join(sentence(generator) for _ in range(500)))
    data = ["--train", str(directory / "t.txt"), "--precision", "float32", "--threads", "1"]
    small = ["--layers", "1", "--hidden", "32", "--embedding", "16", "--no-tied"]
    small += [f"--dropout-{place}=0" for place in ("input", "hidden", "output", "weight")]
    fast = ["--batch", "8", "--bptt", "24", "--learning-rate", "0.02", "--evaluations", "2"]
    for kind, steps in (("word", "200"), ("char", "150")):
        options = [*data, *small, *fast, "--tokenizer", kind, "--steps", steps]
        assert main(["lm", *options, "--out", str(directory / kind)]) == 0
    return directory


def pairs_file(path: Path) -> str:
    """Writes pairs of two constructions in both numbers, and one with an unknown word."""
    rows = []
    for singular, plural in NOUNS.items():
        for subject, number, verbs in (
            (singular, "sing", ("is", "are")),
            (plural, "plur", ("are", "is")),
        ):
            other = "sing" if number == "plur" else "plur"
            good, bad = verbs
            rows.append(("simple_agrmt", f"{number}_MS_MV", subject, good, bad))
            rows += [
                ("prep_anim", f"{number}_MS_MV_{other}_ES", f"{subject} {place}", good, bad)
                for place in PLACES
            ]
    rows.append(("prep_anim", "sing_MS_MV_sing_ES", "zebra", "is", "are"))
    lines = [
        f"{name}\t{condition}\tthe {subject} {good} old\tthe {subject} {bad} old\n"
        for name, condition, subject, good, bad in rows
    ]
    path.write_text("".join(lines))
    return str(path)


def test_a_model_that_learned_agreement_passes(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Table, JSON file and page agree; the pair with an unknown word is left out."""
    out, figures = tmp_path / "out", tmp_path / "f.json"
    trace = ["--trace", "the dogs in the house", "--words", "are,is"]
    options = ["--pairs", pairs_file(tmp_path / "p.tsv"), *trace, "--json", str(figures)]
    assert main(["agreement", str(models / "word"), *options, "--out", str(out)]) == 0
    results = json.loads(figures.read_text())
    assert results["pairs"] == 24
    assert results["accuracy"] > 0.9
    assert results["constructions"]["prep_anim"]["left_out"] == 1
    assert results["constructions"]["prep_anim"]["attractors"]["1"]["pairs"] == 18
    assert results["unknown_words"] == {"zebra": 1}
    assert results["trace"]["words"] == ["The", "dogs", "in", "the", "house"]
    p = results["trace"]["probabilities"]
    assert p["are"][1] > 10 * p["is"][1]
    assert p["are"][4] > 10 * p["is"][4]
    output = capsys.readouterr().out
    assert "1 of 25 pairs (4%) are left out" in output
    assert "zebra (1)" in output
    assert "are : is" in output
    assert json.loads((out / "figures.json").read_text()) == results
    assert {path.name for path in out.glob("*.png")} == {
        "accuracy.png",
        "distances.png",
        "trace.png",
        "word-gradients.png",
    }
    assert "zebra (1)" in (out / "index.html").read_text()


def test_gradients_of_several_models_are_traced_together(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row of bars for each model, in its own tokens; equal names are told apart."""
    figures, trace = tmp_path / "f.json", ["--trace", "the dogs in the house", "--words", "are,is"]
    compare = ["--compare", str(models / "word"), str(models / "char")]
    options = [*trace, *compare, "--json", str(figures)]
    assert main(["agreement", str(models / "word"), *options]) == 0
    first, again, letters = json.loads(figures.read_text())["gradients"]
    assert [first["artifact"], again["artifact"], letters["artifact"]] == ["word", "word-2", "char"]
    assert first["gradients"] == again["gradients"]
    assert first["target"] == " are"
    assert letters["target"] == "a"
    assert len(letters["tokens"]) > len(first["tokens"]) == 7
    assert "gradient of -log p(are) at each word" in capsys.readouterr().out
    assert main(["agreement", str(models / "word"), "--pairs", "x.tsv", *compare]) == 2
    assert "--compare: needs a sentence" in capsys.readouterr().err


def test_a_character_model_judges_whole_sentences(models: Path, tmp_path: Path) -> None:
    """BLiMP pairs have no attractors; the probability of a word is that of its letters."""
    path, figures = tmp_path / "agreement.jsonl", tmp_path / "f.json"
    rows = [
        {"sentence_good": f"The {subject} {good} old.", "sentence_bad": f"The {subject} {bad} old."}
        for pair in NOUNS.items()
        for subject, good, bad in zip(pair, ("is", "are"), ("are", "is"), strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--pairs", str(path), "--trace", "The dog", "--words", "is,are,old"]
    assert main(["agreement", str(models / "char"), *options, "--json", str(figures)]) == 0
    results = json.loads(figures.read_text())
    assert (results["accuracy"], results["pairs"]) == (1.0, 6)
    assert "attractors" not in results["constructions"]["agreement"]
    p = results["trace"]["probabilities"]
    assert p["is"][1] > p["are"][1] > 0
    assert p["is"][1] > p["old"][1]


def test_pairs_of_unknown_words_alone_have_no_accuracy(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The accuracy is None, and the page is written."""
    (tmp_path / "p.tsv").write_text("x\t\tzebras are\tzebras is\n")
    options = ["--pairs", str(tmp_path / "p.tsv"), "--out", str(tmp_path / "out")]
    assert main(["agreement", str(models / "word"), *options]) == 0
    assert "1 of 1 pairs (100%) are left out" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "figures.json").read_text())["accuracy"] is None


def test_a_classifier_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A classifier gives no probability of a sentence."""
    rows = [{"text": f"{word} {i}", "label": word} for i in range(10) for word in ("a", "b")]
    data, out = tmp_path / "d.jsonl", str(tmp_path / "c")
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--hidden", "4", "--embedding", "4", "--mlp", "4", "--epochs", "1"]
    assert main(["classifier", "--train", str(data), *options, "--out", out]) == 0
    assert main(["agreement", out, "--pairs", "none.tsv"]) == 2
    assert "is a classifier" in capsys.readouterr().err


def test_pairs_are_counted_by_construction_and_attractors() -> None:
    """Counts worked out by hand; pairs that are left out are in no accuracy."""
    pairs = [
        MinimalPair("b", "c1", "x", "y", 0),
        MinimalPair("b", "c1", "x", "y", 1),
        MinimalPair("b", "c2", "x", "y", 1),
        MinimalPair("a", "", "x", "y", None),
    ]
    results = count_outcomes(pairs, [True, False, None, True], Counter())
    assert list(results.constructions) == ["a", "b"]
    assert results.total.record() == {"accuracy": 2 / 3, "pairs": 3, "left_out": 1}
    assert results.mean_accuracy == (1.0 + 0.5) / 2
    assert results.attractors[1].record() == {"accuracy": 0.0, "pairs": 1, "left_out": 1}
    assert results.constructions["b"].conditions["c2"].accuracy is None
    assert sum(part.pairs for part in results.distances.values()) == 3


def test_distances_count_the_words_before_the_difference() -> None:
    """By the first word that differs, ascending."""
    pairs = [
        MinimalPair("a", "", "the dogs by the door are old", "the dogs by the door is old"),
        MinimalPair("a", "", "the dog is old", "the dog are old"),
    ]
    results = count_outcomes(pairs, [False, True], Counter())
    assert {count: part.accuracy for count, part in results.distances.items()} == {2: 1.0, 5: 0.0}
    assert results.record()["distances"]["5"]["pairs"] == 1


def test_an_interval_holds_its_accuracy() -> None:
    """The interval is wide for few pairs, also at an accuracy of 1, and narrow for many."""
    low, high = PairAccuracy(pairs=10, correct=10).interval()
    assert 0.6 < low < 0.8
    assert high == pytest.approx(1.0)
    low, high = PairAccuracy(pairs=10_000, correct=5_000).interval()
    assert low == pytest.approx(0.49, abs=0.001)
    assert high == pytest.approx(0.51, abs=0.001)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--pairs: give files of minimal pairs, or a sentence to --trace"),
        (["--trace", "the dog"], "--words: give the words to follow"),
        (["--words", "is"], "--words: needs a sentence to follow the words along"),
        (["--trace", "the \udc80", "--words", "is"], "--trace: is not valid text"),
        (["--trace", " ", "--words", "is"], "--trace: the sentence is empty"),
        (["--trace", "the dog", "--words", "is,zebras"], "--words: 'zebras' is unknown"),
        (
            ["--trace", "a", "--words", "b", "--threads", "9999999999"],
            "--threads: expected at most",
        ),
        (["--pairs", "none.tsv"], "none.tsv: cannot be read"),
        (["--pairs", "none*.tsv"], "none*.tsv: no file matches"),
        (["--pairs", "x.txt"], "x.txt: expected a .tsv"),
    ],
)
def test_bad_input_gets_a_one_line_message(
    models: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the option or the file."""
    assert main(["agreement", str(models / "word"), *options]) == 2
    (line,) = capsys.readouterr().err.strip().split("\n")
    assert line.startswith("error: ")
    assert message in line

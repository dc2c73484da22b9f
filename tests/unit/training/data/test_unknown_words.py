"""Texts of unknown words: noticed before training, and figures without meaning left out."""

import json
import random
from pathlib import Path

import pytest

from tests.support.training.synthetic_corpus import text as english
from training.commands.cli import main
from training.data.unknown_words import share_without_spaces

CHARACTERS = {
    "Chinese": "我喜欢这部电影看好很不人大小天地日月山水",
    "Japanese": "わたしはこのえいががすきですカタナ日本語",
    "Thai": "ฉันชอบหนังเรื่องนี้มากที่สุด",
}
SMALL = ["--hidden", "8", "--embedding", "8", "--threads", "1"]


def sentences(script: str, count: int) -> list[str]:
    """Made up, without spaces between words."""
    chance = random.Random(0)
    words = (
        "".join(chance.choices(CHARACTERS[script], k=chance.randint(4, 15))) for _ in range(count)
    )
    return [f"{first}，{first[::-1]}。" for first in words]


@pytest.mark.parametrize("script", CHARACTERS)
def test_words_without_spaces_are_refused_before_training(
    tmp_path: Path, script: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both commands refuse words with a remedy; by default they read characters, and tell why."""
    lines = sentences(script, 600)
    document, table = tmp_path / "a.txt", tmp_path / "a.jsonl"
    document.write_text("\n".join(lines))
    rows = [{"text": line, "label": "ab"[i % 2]} for i, line in enumerate(lines)]
    table.write_text("\n".join(map(json.dumps, rows)))
    for command, data in (("lm", document), ("classifier", table)):
        out = tmp_path / command
        words = ["--tokenizer", "word", "--out", str(out)]
        assert main([command, "--train", str(data), *SMALL, *words]) == 2
        stderr = capfd.readouterr().err
        assert "of the tokens are unknown words ([UNK])" in stderr
        assert "100% of the letters are of a script without spaces between words" in stderr
        assert "choose --tokenizer char or bpe" in stderr
        assert not out.exists()
    options = ["--steps", "1", *SMALL, "--out", str(tmp_path / "c")]
    assert main(["lm", "--train", str(document), *options]) == 0
    assert "note: --tokenizer auto: char, since 100% of the letters" in capfd.readouterr().err


def test_a_validation_text_of_other_words_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Most words unknown are refused in any script; a smaller share is reported."""
    train, valid = tmp_path / "train.txt", tmp_path / "valid.txt"
    train.write_text(english(200))
    files = ["lm", "--train", str(train), "--valid", str(valid), "--steps", "1", *SMALL]
    valid.write_text("other things " * 50)
    assert main([*files, "--out", str(tmp_path / "a")]) == 2
    assert "error: --valid: 99% of the tokens are unknown words" in capfd.readouterr().err
    valid.write_text(english(50) + "\n" + "other things " * 65)
    assert main([*files, "--out", str(tmp_path / "b")]) == 0
    stderr = capfd.readouterr().err
    assert "warning: --valid: " in stderr
    assert "bits per character" not in stderr
    metrics = json.loads((tmp_path / "b" / "manifest.json").read_text())["metrics"]
    assert "validation_bits_per_character" not in metrics
    assert 0.2 < metrics["validation_unknown_share"] < 0.5


@pytest.mark.slow
def test_figures_of_spelling_are_marked_or_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In table, JSON and page: marked where a few words are unknown, gone where many are."""
    train, data, model = tmp_path / "train.txt", tmp_path / "data.txt", str(tmp_path / "model")
    train.write_text(english(200))
    assert main(["lm", "--train", str(train), "--steps", "1", *SMALL, "--out", model]) == 0
    names = ["word_perplexity", "word_and_line_perplexity", "bits_per_character", "bits_per_byte"]
    figures, page = tmp_path / "f.json", tmp_path / "page"
    for unknown, key in (
        ("", None),
        ("Zebra!", "understated"),
        ("other things " * 200, "left_out"),
    ):
        data.write_text(english(30, seed=5) + unknown)
        options = ["--data", str(data), "--json", str(figures), "--out", str(page)]
        capfd.readouterr()
        assert main(["evaluate", model, *options]) == 0
        metrics, table = json.loads(figures.read_text()), capfd.readouterr().out
        assert {k: metrics[k] for k in ("understated", "left_out") if k in metrics} == (
            {} if key is None else {key: names}
        )
        assert all((name in metrics) == (key != "left_out") for name in names)
        assert ("* too low, because" in table) == (key == "understated")
        assert ("bits per byte: left out, because" in table) == (key == "left_out")
        written = (page / "index.html").read_text()
        assert ("too low, because" in written) == (key == "understated")
        assert ("left out, because" in written) == (key == "left_out")


@pytest.mark.parametrize(
    ("text", "share"), [("我喜 欢 2020", 1.0), ("good film", 0.0), ("한국어 영화", 0.0), ("", 0.0)]
)
def test_scripts_are_distinguished(text: str, share: float) -> None:
    """Korean has spaces; digits and punctuation do not count."""
    assert share_without_spaces([text]) == share

"""The command line of the benchmarks, and the helpers of measurements that need no server."""

import pytest

from benchmarks.__main__ import COMMANDS, parse_arguments
from benchmarks.measurements.classification import MAX_WORDS, MIN_WORDS, synthetic_documents
from benchmarks.measurements.context import downsample
from benchmarks.measurements.context_http import seconds_per_token_by_chunk
from model.tokenization.tokenizer_training import train_word_tokenizer


def test_every_command_is_listed_with_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    """--help names every command once, with its one line of help."""
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    listing = " ".join(capsys.readouterr().out.split())
    assert len({command.NAME for command in COMMANDS}) == len(COMMANDS)
    assert all(f"{command.NAME} {command.HELP}" in listing for command in COMMANDS)


def test_quick_changes_defaults_only() -> None:
    """--quick measures the small size, unless --sizes is given too."""
    assert parse_arguments(["serve", "--quick"]).sizes == ["small"]
    assert parse_arguments(["serve", "--quick", "--sizes", "large"]).sizes == ["large"]
    assert parse_arguments(["serve"]).sizes == ["small", "medium", "large"]


def test_synthetic_documents_have_known_words_and_all_lengths() -> None:
    """Documents are the same in every run and have lengths from the minimum to the maximum."""
    text = "the cat sat on a mat"
    tokenizer = train_word_tokenizer([text], vocabulary=None)
    documents = synthetic_documents(tokenizer, 200)
    assert documents == synthetic_documents(tokenizer, 200)
    lengths = [len(document.split()) for document in documents]
    assert (min(lengths), max(lengths)) == (MIN_WORDS, MAX_WORDS)
    assert set(" ".join(documents).split()) <= set(text.split())


def test_a_profile_is_downsampled_to_medians() -> None:
    """120 bursts of 8 tokens become 40 medians of three bursts, the last one at the end."""
    positions = [8 * (index + 1) for index in range(120)]
    ends, values = downsample(positions, [1.0, 5.0, 2.0] * 40)
    assert (len(ends), ends[0], ends[-1]) == (40, 24, 960)
    assert values == [2.0] * 40


def test_the_time_per_token_of_a_stream_is_averaged_over_chunks() -> None:
    """Three writes of 40 tokens, 4 s apart, make a chunk of 120 tokens at 0.1 s per token."""
    arrivals = [(4.0 * index, 40 * index) for index in range(10)]
    positions, seconds = seconds_per_token_by_chunk(arrivals)
    assert positions == [120, 240, 360]
    assert seconds == [0.1, 0.1, 0.1]

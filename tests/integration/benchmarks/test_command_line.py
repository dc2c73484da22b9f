"""The door: what --quick changes, and what it leaves to who asks."""

from benchmarks.__main__ import COMMANDS, parsed
from benchmarks.commands.run_all import PARTS
from benchmarks.measurements.classification import LONGEST, SHORTEST, made_up_documents
from benchmarks.measurements.context import in_parts
from benchmarks.measurements.context_http import chunked
from model.tokenization.tokenizer_training import train_word_tokenizer


def test_every_part_is_a_command_of_its_own() -> None:
    """What `all` runs can be run alone."""
    assert set(PARTS) < set(COMMANDS)


def test_quick_changes_defaults_and_nothing_that_was_said() -> None:
    """A size given beside --quick still counts; without --quick all sizes are measured."""
    assert parsed(["serve", "--quick"]).sizes == ["small"]
    assert parsed(["serve", "--quick", "--sizes", "large"]).sizes == ["large"]
    assert parsed(["serve"]).sizes == ["small", "medium", "large"]


def test_made_up_documents_are_known_words_of_all_lengths() -> None:
    """The same each time; from the shortest to the longest."""
    text = "the cat sat on a mat"
    tokenizer = train_word_tokenizer([text], vocabulary=None)
    documents = made_up_documents(tokenizer, 200)
    assert documents == made_up_documents(tokenizer, 200)
    lengths = [len(document.split()) for document in documents]
    assert (min(lengths), max(lengths)) == (SHORTEST, LONGEST)
    assert set(" ".join(documents).split()) <= set(text.split())


def test_parts_of_a_walk_are_medians_and_end_at_the_end() -> None:
    """120 bursts of 8 tokens become 40 parts of three."""
    places = [8 * (count + 1) for count in range(120)]
    ends, values = in_parts(places, [1.0, 5.0, 2.0] * 40)
    assert (len(ends), ends[0], ends[-1]) == (40, 24, 960)
    assert values == [2.0] * 40


def test_the_pace_of_a_stream_is_taken_over_chunks() -> None:
    """Pieces of 40 tokens, 4 s apart: three of them make a chunk, at a tenth of a second each."""
    places, paces = chunked([(4.0 * count, 40 * count) for count in range(10)])
    assert places == [120, 240, 360]
    assert paces == [0.1, 0.1, 0.1]

"""The tokenizer of --tokenizer auto, by the text."""

import random

import pytest

from tests.support.training.synthetic_corpus import text
from training.data.tokenizer_choice import (
    choose_for_classifier,
    choose_for_language_model,
    unknown_share,
)

CHINESE = "我喜欢这部电影，看好很不人大小天地日月山水。"


def made_up_words(count: int) -> list[str]:
    """Words of random letters, all different."""
    chance = random.Random(0)
    return ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(count)]


def test_words_are_the_default() -> None:
    """Of a text whose words occur again."""
    choice = choose_for_language_model([text(300)])
    assert choice.tokenizer == "word"
    assert "of the words of new text will be unknown" in choice.reason


@pytest.mark.parametrize("choose", [choose_for_language_model, choose_for_classifier])
def test_scripts_without_spaces_are_read_by_characters(choose: object) -> None:
    """The reason gives the share of their letters."""
    assert callable(choose)
    choice = choose([CHINESE] * 20)
    assert choice.tokenizer == "char"
    assert "100% of the letters are of a script without spaces" in choice.reason


def test_many_unknown_words_are_read_as_bpe() -> None:
    """Words that occur once are [UNK] to a word tokenizer."""
    choice = choose_for_language_model([" ".join(made_up_words(500))])
    assert choice == ("bpe", "100% of the words of new text would be unknown to a word tokenizer")


def test_single_words_are_classified_by_characters() -> None:
    """Such as names, but not labels of a few known words."""
    assert choose_for_classifier(made_up_words(500)).tokenizer == "char"
    assert choose_for_classifier(["yes", "no", "maybe"] * 100).tokenizer == "word"
    sentences = [" ".join(made_up_words(8)) for _ in range(50)]
    assert choose_for_classifier(sentences).tokenizer == "word"


def test_the_beginning_of_a_large_text_decides() -> None:
    """A text that is read as a stream is not read to its end."""

    def texts() -> object:
        yield "a b " * 600_000
        raise AssertionError("read beyond the sample")

    assert choose_for_language_model(texts()).tokenizer == "word"  # type: ignore[arg-type]


def test_a_word_is_known_if_it_occurred_twice() -> None:
    """Of the last tenth of the words, by the nine tenths before."""
    assert unknown_share(["a a b " * 3 + "a"]) == 0.0
    assert unknown_share(["a a a a a b c d e b"]) == 1.0
    assert unknown_share([]) == 0.0

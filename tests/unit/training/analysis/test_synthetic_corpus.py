"""The made-up text of the demonstration."""

from __future__ import annotations

from training.analysis.synthetic_corpus import NAMES, demonstration_text


def test_speakers_are_named_at_both_ends() -> None:
    """So there is something to remember; the seed decides the text."""
    assert demonstration_text(50, seed=1) == demonstration_text(50, seed=1)
    assert demonstration_text(50, seed=1) != demonstration_text(50, seed=2)
    for speech in demonstration_text(500, seed=3).removesuffix(" .").split(" . "):
        words = speech.split()
        assert words[0] in NAMES
        assert words[-3:] == [",", "says", words[0]]

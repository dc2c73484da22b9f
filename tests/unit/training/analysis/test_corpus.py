"""The synthetic corpus of ``gradients``."""

from __future__ import annotations

from training.analysis.corpus import SPEAKERS, synthetic_text


def test_speakers_are_named_at_both_ends() -> None:
    """Every speech begins and ends with its speaker; equal seeds give equal texts."""
    assert synthetic_text(50, seed=1) == synthetic_text(50, seed=1)
    assert synthetic_text(50, seed=1) != synthetic_text(50, seed=2)
    for speech in synthetic_text(500, seed=3).removesuffix(" .").split(" . "):
        words = speech.split()
        assert words[0] in SPEAKERS
        assert words[-3:] == [",", "says", words[0]]

"""The three sizes of language models that the benchmarks measure."""

from dataclasses import replace

from model.architecture import Cell, LanguageModelArchitecture

SMALL_PRESET = LanguageModelArchitecture(
    cell="lstm", vocabulary=10_000, embedding=256, hidden=256, layers=2
)
MEDIUM_PRESET = LanguageModelArchitecture(
    cell="lstm", vocabulary=10_000, embedding=650, hidden=650, layers=2
)
# A word model of WikiText-2 (Merity et al., 2018) with the vocabulary of that corpus.
LARGE_PRESET = LanguageModelArchitecture(
    cell="lstm",
    vocabulary=33_278,
    embedding=400,
    hidden=1150,
    layers=3,
    projection=400,
    tied=True,
)
PRESETS = {"small": SMALL_PRESET, "medium": MEDIUM_PRESET, "large": LARGE_PRESET}


def preset(size: str, cell: Cell = "lstm") -> LanguageModelArchitecture:
    """The architecture of a size ("small", "medium", "large") with the given cell."""
    return replace(PRESETS[size], cell=cell)


def describe_size(architecture: LanguageModelArchitecture) -> str:
    """Layers, width and vocabulary in a few words: `2x650, 10000 words`."""
    a = architecture
    projection = "" if a.projection is None else f", projection to {a.projection}"
    softmax = f", adaptive softmax cut at {', '.join(map(str, a.cutoffs))}" if a.cutoffs else ""
    return f"{a.layers}x{a.hidden}{projection}, {a.vocabulary} words{softmax}"

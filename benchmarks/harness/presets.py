"""The three sizes that everything is measured at. Knows no weights."""

from dataclasses import replace

from model.architecture import Cell, LanguageModelArchitecture

SMALL = LanguageModelArchitecture(
    cell="lstm", vocabulary=10_000, embedding=256, hidden=256, layers=2
)
MEDIUM = LanguageModelArchitecture(
    cell="lstm", vocabulary=10_000, embedding=650, hidden=650, layers=2
)
# The shape of a word model of WikiText-2, with the words of that corpus.
LARGE = LanguageModelArchitecture(
    cell="lstm",
    vocabulary=33_278,
    embedding=400,
    hidden=1150,
    layers=3,
    projection=400,
    tied=True,
)
SIZES = {"small": SMALL, "medium": MEDIUM, "large": LARGE}


def sized(size: str, cell: Cell = "lstm") -> LanguageModelArchitecture:
    """The architecture of that name with that cell."""
    return replace(SIZES[size], cell=cell)


def described(architecture: LanguageModelArchitecture) -> str:
    """Its size in a few words: `2x650, 10000 words`; the cell is not part of it."""
    a = architecture
    projection = "" if a.projection is None else f", projection to {a.projection}"
    softmax = f", adaptive softmax cut at {', '.join(map(str, a.cutoffs))}" if a.cutoffs else ""
    return f"{a.layers}x{a.hidden}{projection}, {a.vocabulary} words{softmax}"

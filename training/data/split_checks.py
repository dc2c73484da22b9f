"""What is odd about splits: examples that stand in two of them, labels that are alike or rare.

Nothing here is refused: each finding is a warning, and the run goes on. Does not know how files are
read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from training.data.provenance import source_record
from training.readers.documents import Example
from training.readers.notices import LOG

TOLD = 5  # names that a message lists
LONG_LINE = 30  # characters: shorter lines stand in many texts by chance
SHARED = 0.05  # of a validation text's long lines, which may stand in training by chance


def tell_same_files(splits: Mapping[str, Sequence[str]]) -> None:
    """Files that are given for two splits, also as copies."""
    contents = {source: _content(source) for sources in splits.values() for source in sources}
    for (one, first), (other, second) in combinations(splits.items(), 2):
        known = {contents[source] for source in first}
        same = [source for source in second if contents[source] in known]
        if same:
            LOG.warning(
                "%s: is given both for --%s and for --%s; figures measured on it say nothing about "
                "other texts",
                ", ".join(same),
                one,
                other,
            )


def tell_files_of_training(sources: Sequence[str], provenance: Mapping[str, Any]) -> None:
    """Files that a model was trained on, by its manifest's provenance."""
    data = provenance.get("data")
    found = data.get("train") if isinstance(data, dict) else None
    records = found if isinstance(found, list) else []
    known = [record.get("sha256") for record in records if isinstance(record, dict)]
    same = [source for source in sources if _content(source) in known]
    if same:
        LOG.warning(
            "%s: the model was trained on it; what is measured on it says nothing about other "
            "texts",
            ", ".join(same),
        )


def _content(source: str) -> object:
    """The same for files with the same content."""
    return source_record(source).get("sha256", source)


def tell_examples(splits: Mapping[str, Sequence[Example]]) -> None:
    """Duplicates between splits, contradictions, and labels that are rare, alike or missing.

    ``splits`` by name; the one to train on stands first.
    """
    for (one, first), (other, second) in combinations(splits.items(), 2):
        known = {example.text.strip() for example in first}
        count = sum(example.text.strip() in known for example in second)
        if count:
            LOG.warning(
                "%s: %d of %d texts stand in %s as well; figures measured on them are too good",
                other,
                count,
                len(second),
                one,
            )
    name, train = next(iter(splits.items()))
    _tell_contradictions(name, train)
    _tell_labels(name, train)
    _tell_missing_labels(splits)


def tell_shared_lines(train: Iterable[str], valid: Iterable[str], name: str) -> None:
    """Long lines of a validation text that stand in the training text as well.

    What stays in memory is a number for each line of ``valid``.
    """
    lines = Counter(hash(line) for line in _long_lines(valid))
    if not lines:
        return
    found = {key for line in _long_lines(train) if (key := hash(line)) in lines}
    count, total = sum(lines[key] for key in found), lines.total()
    if count > SHARED * total:
        LOG.warning(
            "%s: %d of %d lines of %d or more characters stand in the training text as well; "
            "figures measured on them are too good",
            name,
            count,
            total,
            LONG_LINE,
        )


def _long_lines(texts: Iterable[str]) -> Iterable[str]:
    return (line.strip() for text in texts for line in text.split("\n") if len(line) >= LONG_LINE)


def _tell_contradictions(name: str, train: Sequence[Example]) -> None:
    labels: dict[str, set[str]] = defaultdict(set)
    for example in train:
        labels[example.text.strip()].add(example.label)
    texts = [text for text, found in labels.items() if len(found) > 1]
    if texts:
        LOG.warning(
            "%s: texts that stand there with different labels: %d, as %s",
            name,
            len(texts),
            _listed(texts[:1]),
        )


def _tell_labels(name: str, train: Sequence[Example]) -> None:
    counts = Counter(example.label for example in train)
    single = sorted(label for label, count in counts.items() if count == 1)
    if single:
        LOG.warning("%s: labels with a single example: %s", name, _listed(single))
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        alike["".join(label.casefold().split())].append(label)
    for labels in alike.values():
        if len(labels) > 1:
            told = ", ".join(f"{label!r} ({counts[label]})" for label in labels)
            LOG.warning(
                "%s: labels that differ by case or spaces alone are taken for different ones: %s",
                name,
                told,
            )


def _tell_missing_labels(splits: Mapping[str, Sequence[Example]]) -> None:
    (_, train), *others = splits.items()
    known = {example.label for example in train}
    for name, examples in others:
        missing = sorted(known - {example.label for example in examples})
        if examples and missing:
            LOG.info("%s: labels without an example there: %s", name, _listed(missing))


def _listed(names: Collection[str]) -> str:
    shown = [f"{name:.60}" for name in list(names)[:TOLD]]
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return ", ".join(map(repr, shown)) + more

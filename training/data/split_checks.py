"""Warnings about splits: shared examples, contradictions, rare or similar labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from training.data.provenance import source_record
from training.errors import format_list
from training.readers.examples import Example
from training.readers.notices import LOG

MAX_LISTED_LABELS = 5  # in a message
MIN_LINE_LENGTH = 30  # characters; shorter lines occur in many texts by chance
MAX_SHARED_LINES = 0.05  # share of the validation text's long lines


def warn_same_files(splits: Mapping[str, Sequence[str]]) -> None:
    """Warns of files that two splits share, also as copies."""
    contents = {source: _content(source) for sources in splits.values() for source in sources}
    for (name, first), (other_name, second) in combinations(splits.items(), 2):
        known = {contents[source] for source in first}
        same = [source for source in second if contents[source] in known]
        if same:
            LOG.warning(
                "%s: is given both for --%s and for --%s; metrics on it say nothing about "
                "other texts",
                ", ".join(same),
                name,
                other_name,
            )


def warn_training_files(sources: Sequence[str], provenance: Mapping[str, Any]) -> None:
    """Warns of files that a model was trained on, by the provenance of its manifest."""
    data = provenance.get("data")
    train = data.get("train") if isinstance(data, dict) else None
    records = train if isinstance(train, list) else []
    known = [record.get("sha256") for record in records if isinstance(record, dict)]
    same = [source for source in sources if _content(source) in known]
    if same:
        LOG.warning(
            "%s: the model was trained on it; metrics on it say nothing about other texts",
            ", ".join(same),
        )


def _content(source: str) -> object:
    """A value that files with the same content share."""
    return source_record(source).get("sha256", source)


def warn_examples(splits: Mapping[str, Sequence[Example]]) -> None:
    """Warns of duplicates between splits, contradictions, and rare, similar or missing labels.

    ``splits`` maps names to examples; the training split comes first.
    """
    for (name, first), (other_name, second) in combinations(splits.items(), 2):
        known = {example.text.strip() for example in first}
        count = sum(example.text.strip() in known for example in second)
        if count:
            LOG.warning(
                "%s: %d of %d texts occur in %s, too; metrics on them are too good",
                other_name,
                count,
                len(second),
                name,
            )
    name, train = next(iter(splits.items()))
    _warn_contradictions(name, train)
    _warn_labels(name, train)
    _warn_missing_labels(splits)


def warn_shared_lines(train: Iterable[str], valid: Iterable[str], name: str) -> None:
    """Warns of a validation text whose long lines also occur in the training text.

    Memory holds a number for each line of ``valid``.
    """
    lines = Counter(hash(line) for line in _long_lines(valid))
    if not lines:
        return
    shared = {key for line in _long_lines(train) if (key := hash(line)) in lines}
    count, total = sum(lines[key] for key in shared), lines.total()
    if count > MAX_SHARED_LINES * total:
        LOG.warning(
            "%s: %d of %d lines of %d or more characters occur in the training text, too; "
            "metrics on them are too good",
            name,
            count,
            total,
            MIN_LINE_LENGTH,
        )


def _long_lines(texts: Iterable[str]) -> Iterable[str]:
    return (
        line.strip() for text in texts for line in text.split("\n") if len(line) >= MIN_LINE_LENGTH
    )


def _warn_contradictions(name: str, train: Sequence[Example]) -> None:
    labels: dict[str, set[frozenset[str]]] = defaultdict(set)
    for example in train:
        labels[example.text.strip()].add(frozenset(example.labels))
    texts = [text for text, text_labels in labels.items() if len(text_labels) > 1]
    if texts:
        LOG.warning(
            "%s: texts with different labels: %d, as %s",
            name,
            len(texts),
            _listed(texts[:1]),
        )


def _warn_labels(name: str, train: Sequence[Example]) -> None:
    counts = Counter(label for example in train for label in example.labels)
    single = sorted(label for label, count in counts.items() if count == 1)
    if single:
        LOG.warning("%s: labels with a single example: %s", name, _listed(single))
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        alike["".join(label.casefold().split())].append(label)
    for labels in alike.values():
        if len(labels) > 1:
            names = ", ".join(f"{label!r} ({counts[label]})" for label in labels)
            LOG.warning(
                "%s: labels that differ by case or spaces alone are taken for different ones: %s",
                name,
                names,
            )


def _warn_missing_labels(splits: Mapping[str, Sequence[Example]]) -> None:
    (_, train), *others = splits.items()
    known = {label for example in train for label in example.labels}
    for name, examples in others:
        missing = sorted(known - {label for example in examples for label in example.labels})
        if examples and missing:
            LOG.info("%s: labels without an example: %s", name, _listed(missing))


def _listed(names: Collection[str]) -> str:
    return format_list([repr(f"{name:.60}") for name in names], MAX_LISTED_LABELS)

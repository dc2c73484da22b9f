"""Labeled examples of a run: read, checked against each other, split, turned into token ids.

Labels are those of the training data, in the order of their names, but for that of texts out of
scope. What validation or test have
beyond them cannot be learned, so it is refused. Knows no networks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from model.errors import ManifestError
from model.manifest import check_label
from model.tokenization.tokenizer import Tokenizer
from training.config.classifier import ClassifierRecipe
from training.data.batching import Documents
from training.data.corpus import expanded
from training.data.provenance import digest_of_texts
from training.data.split_checks import tell_examples, tell_same_files
from training.errors import DataError
from training.readers.documents import Example, read_examples

OUTSIDE = -1  # stands for a label's index where a text has none of the labels


@dataclass(frozen=True, slots=True)
class Splits:
    """The examples of a run. ``held_out``: validation was taken from the training files."""

    train: list[Example]
    valid: list[Example]
    test: list[Example]
    labels: tuple[str, ...]
    held_out: bool

    @property
    def digest(self) -> str:
        """Of all texts and labels of all splits."""
        splits = (self.train, self.valid, self.test)
        return digest_of_texts(
            part for split in splits for example in split for part in (example.text, example.label)
        )


def read_splits(recipe: ClassifierRecipe) -> Splits:
    """Reads all files of a run.

    Raises:
        DataError: a file is unusable, there is only one label, or a label is unknown to training.
    """
    if not recipe.train:
        raise DataError("--train: give at least one file of labeled examples")
    train, valid, test = (
        _read(sources, recipe) for sources in (recipe.train, recipe.valid, recipe.test)
    )
    outside = recipe.out_of_scope_label
    if all(example.label == outside for example in train):
        raise DataError(_all_outside(recipe.train, outside))
    labels = tuple(sorted({example.label for example in train} - {outside}))
    if len(labels) < 2:
        raise DataError(
            f"{recipe.train[0]}: all examples have the label {labels[0]!r}; a classifier needs at "
            "least two labels (choose the column with --label-column)"
        )
    try:
        for label in (*labels, outside or ""):
            check_label(label)
    except ManifestError as error:
        raise DataError(f"{recipe.train[0]}: {error}") from error
    for sources, examples in ((recipe.valid, valid), (recipe.test, test)):
        _check_labels(sources, examples, {*labels, outside})
    if test and all(example.label == outside for example in test):
        raise DataError(_all_outside(recipe.test, outside))
    tell_same_files({name: expanded(getattr(recipe, name)) for name in ("train", "valid", "test")})
    if valid:
        _check_out_of_scope(recipe.valid, valid, outside)
        tell_examples({"--train": train, "--valid": valid, "--test": test})
        return Splits(train, valid, test, labels, held_out=False)
    kept, held = hold_out(train, share=recipe.holdout, seed=recipe.seed)
    if not held:
        raise DataError(
            f"{recipe.train[0]}: no label has two examples, so none can be held out; "
            "give more examples, or a file to --valid"
        )
    _check_out_of_scope(recipe.train, held, outside)
    tell_examples({"--train": kept, "the held-out examples": held, "--test": test})
    return Splits(kept, held, test, labels, held_out=True)


def hold_out(
    examples: Sequence[Example], *, share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """Takes about ``share`` of each label's examples away: (kept, held out), in the given order.

    Of a label with two examples or more at least one is held out; the only one of a label is kept.
    """
    random = np.random.default_rng(seed)
    indices: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        indices[example.label].append(index)
    held: set[int] = set()
    for label in sorted(indices):
        of_label = indices[label]
        count = min(max(1, round(share * len(of_label))), len(of_label) - 1)
        held.update(random.permutation(of_label)[:count].tolist())
    kept = [example for index, example in enumerate(examples) if index not in held]
    return kept, [examples[index] for index in sorted(held)]


def encode_examples(
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    labels: Sequence[str],
    recipe: ClassifierRecipe,
) -> Documents:
    """Token ids, truncated as the recipe says; a text without a token is read as [END].

    A label that is none of ``labels`` is out of scope.
    """
    index = {label: position for position, label in enumerate(labels)}
    encoded = tokenizer.encode_batch([example.text for example in examples])
    ends = recipe.truncation == "ends"
    tokens = [truncate(ids, recipe.max_tokens, ends=ends) or [tokenizer.end] for ids in encoded]
    return Documents(tokens, [index.get(example.label, OUTSIDE) for example in examples])


def truncate(tokens: list[int], limit: int, *, ends: bool) -> list[int]:
    """At most ``limit`` tokens: the first ones, or with ``ends`` half from each end."""
    if len(tokens) <= limit:
        return tokens
    tail = limit // 2 if ends else 0
    return tokens[: limit - tail] + tokens[len(tokens) - tail :]


def _read(sources: Sequence[str], recipe: ClassifierRecipe) -> list[Example]:
    return [
        example
        for source in expanded(sources)
        for example in read_examples(
            source,
            text_column=recipe.text_column,
            label_column=recipe.label_column,
            header=recipe.header,
            skip_empty=recipe.skip_empty,
        )
    ]


def _check_out_of_scope(
    sources: Sequence[str], valid: Sequence[Example], outside: str | None
) -> None:
    """Both kinds are needed to learn where the border lies."""
    if outside is None:
        return
    count = sum(example.label == outside for example in valid)
    if count == 0:
        raise DataError(
            f"{', '.join(sources)}: no example to validate on has the label {outside!r} of "
            "--out-of-scope-label; add some"
        )
    if count == len(valid):
        raise DataError(_all_outside(sources, outside))


def _all_outside(sources: Sequence[str], outside: str | None) -> str:
    return (
        f"{', '.join(sources)}: all examples have the label {outside!r} of --out-of-scope-label; "
        "add some of other labels"
    )


def _check_labels(
    sources: Sequence[str], examples: Sequence[Example], known: Set[str | None]
) -> None:
    unknown = sorted({example.label for example in examples} - known)
    if unknown:
        told = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        alike = {"".join(str(label).casefold().split()) for label in known}
        hint = ""
        if any("".join(label.casefold().split()) in alike for label in unknown):
            hint = " (some differ from known labels by case or spaces alone)"
        raise DataError(
            f"{', '.join(sources)}: has labels that no training example has: {told}{hint}; "
            "remove those examples, or add such to --train"
        )

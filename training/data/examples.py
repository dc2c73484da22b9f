"""The labeled examples of a classifier run: read, checked, split and encoded.

The labels are those of the training data in alphabetical order, without the label of texts out of
scope. Labels that occur in validation or test data alone cannot be learned and are refused. The run
is of a multi-label classifier if an option says so, or if a text has several labels or an empty
list of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from model.errors import ManifestError
from model.manifest import check_label
from model.tokenization.tokenizer import Tokenizer
from training.config.classifier import NO_OUT_OF_SCOPE, ClassifierRecipe
from training.data.batching import EncodedDocuments, LabelSets
from training.data.provenance import digest_of_texts
from training.data.split_checks import MAX_LISTED_LABELS, warn_examples, warn_same_files
from training.errors import DataError, format_list
from training.readers.examples import Example, LabelOptions, read_examples
from training.readers.notices import LOG
from training.readers.sources import expand_sources

OUT_OF_SCOPE_INDEX = -1  # label index of a text that has none of the labels


@dataclass(frozen=True, slots=True)
class ExampleSplits:
    """The examples of a run.

    ``held_out``: the validation split is a part of the training files. ``multi_label``: texts have
    any number of labels.
    """

    train: list[Example]
    valid: list[Example]
    test: list[Example]
    labels: tuple[str, ...]
    held_out: bool
    multi_label: bool = False

    @property
    def digest(self) -> str:
        """A digest of all texts and labels of all splits."""
        splits = (self.train, self.valid, self.test)
        return digest_of_texts(
            part
            for split in splits
            for example in split
            for part in (example.text, *example.labels)
        )


def read_splits(recipe: ClassifierRecipe) -> ExampleSplits:
    """Reads and checks the files of a run.

    Raises:
        DataError: a file is unusable, there is only one label, or a label is unknown to training.
    """
    if not recipe.train:
        raise DataError("--train: give at least one file of labeled examples")
    train, valid, test = (
        _read(sources, recipe) for sources in (recipe.train, recipe.valid, recipe.test)
    )
    outside = recipe.out_of_scope_label
    multi_label = _is_multi_label(recipe, [*train, *valid, *test])
    if all(_is_outside(example, outside) for example in train):
        raise DataError(_all_outside(recipe.train, outside))
    labels = _training_labels(recipe, train)
    for sources, examples in ((recipe.valid, valid), (recipe.test, test)):
        _check_labels(sources, examples, {*labels, outside})
    if test and all(_is_outside(example, outside) for example in test):
        raise DataError(_all_outside(recipe.test, outside))
    warn_same_files(
        {name: expand_sources(getattr(recipe, name)) for name in ("train", "valid", "test")}
    )
    if valid:
        _check_out_of_scope(recipe.valid, valid, outside)
        warn_examples({"--train": train, "--valid": valid, "--test": test})
        return ExampleSplits(train, valid, test, labels, held_out=False, multi_label=multi_label)
    kept, held = stratified_split(train, share=recipe.holdout, seed=recipe.seed)
    if not held:
        raise DataError(
            f"{recipe.train[0]}: no label has two examples, so none can be held out; "
            "give more examples, or a file to --valid"
        )
    _check_out_of_scope(recipe.train, held, outside)
    warn_examples({"--train": kept, "the held-out examples": held, "--test": test})
    return ExampleSplits(kept, held, test, labels, held_out=True, multi_label=multi_label)


def _training_labels(recipe: ClassifierRecipe, train: Sequence[Example]) -> tuple[str, ...]:
    """The labels to learn, in alphabetical order."""
    outside = recipe.out_of_scope_label
    labels = tuple(sorted(labels_of(train) - {outside or ""}))
    if len(labels) < 2:
        found = f"all examples have the label {labels[0]!r}" if labels else "no text has a label"
        raise DataError(
            f"{recipe.train[0]}: {found}; a classifier needs at least two labels (choose the "
            "column with --label-column)"
        )
    try:
        for label in (*labels, outside or ""):
            check_label(label)
    except ManifestError as error:
        raise DataError(f"{recipe.train[0]}: {error}") from error
    return labels


def labels_of(examples: Iterable[Example]) -> set[str]:
    """All labels of the examples."""
    return {label for example in examples for label in example.labels}


def _is_multi_label(recipe: ClassifierRecipe, examples: Sequence[Example]) -> bool:
    """Whether the run is of a multi-label classifier; a notice tells what the data decide."""
    several = sum(len(example.labels) > 1 for example in examples)
    none = sum(not example.labels for example in examples)
    found = f"{several:,} of {len(examples):,} texts have several labels, {none:,} have none"
    given = recipe.may_have_several_labels
    if given is None and several + none > 0:
        if recipe.out_of_scope_label is not None:
            raise DataError(f"{recipe.train[0]}: {found}. --out-of-scope-label: {NO_OUT_OF_SCOPE}")
        LOG.info("--multi-label is chosen, since %s", found)
        return True
    if given and several == 0:
        LOG.warning(
            "%s: no text has several labels; if a cell holds several, name what is between them "
            "with --label-separator",
            recipe.train[0],
        )
    return bool(given)


def stratified_split(
    examples: Sequence[Example], *, share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """Splits examples into (kept, held out), with about ``share`` of each label held out.

    Both are in the given order. At least one example of a label is held out and at least one kept;
    the only example of a label is kept. An example with several labels counts for the rarest one.
    """
    random = np.random.default_rng(seed)
    counts = Counter(label for example in examples for label in example.labels)
    indices: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        rarest = min(example.labels, key=lambda label: (counts[label], label), default="")
        indices[rarest].append(index)
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
) -> EncodedDocuments:
    """Token ids and labels of examples.

    Documents are truncated by the recipe's options. A text without a token is encoded as [END]. An
    example whose label is not in ``labels`` is out of scope, unless the recipe is multi-label.
    """
    encoded = tokenizer.encode_batch([example.text for example in examples])
    ends = recipe.truncation == "ends"
    tokens = [
        truncate_tokens(ids, recipe.max_tokens, ends=ends) or [tokenizer.end] for ids in encoded
    ]
    index = {label: position for position, label in enumerate(labels)}
    if recipe.multi_label:
        return EncodedDocuments(tokens, _label_sets(examples, index))
    return EncodedDocuments(
        tokens, [index.get(example.label, OUT_OF_SCOPE_INDEX) for example in examples]
    )


def _label_sets(examples: Sequence[Example], index: Mapping[str, int]) -> LabelSets:
    """Whether each example has each label, (examples, labels)."""
    sets = np.zeros((len(examples), len(index)), dtype=np.bool_)
    for row, example in enumerate(examples):
        sets[row, [index[label] for label in example.labels]] = True
    return sets


def truncate_tokens(tokens: list[int], limit: int, *, ends: bool) -> list[int]:
    """The first ``limit`` tokens, or with ``ends`` half of them from each end."""
    if len(tokens) <= limit:
        return tokens
    tail = limit // 2 if ends else 0
    return tokens[: limit - tail] + tokens[len(tokens) - tail :]


def _read(sources: Sequence[str], recipe: ClassifierRecipe) -> list[Example]:
    return [
        example
        for source in expand_sources(sources)
        for example in read_examples(
            source,
            text_column=recipe.text_column,
            label_column=recipe.label_column,
            header=recipe.header,
            skip_empty=recipe.skip_empty,
            label_options=LabelOptions(recipe.may_have_several_labels, recipe.label_separator),
        )
    ]


def _check_out_of_scope(
    sources: Sequence[str], valid: Sequence[Example], outside: str | None
) -> None:
    """Checks that ``valid`` has examples in scope and out of scope, to fit the threshold."""
    if outside is None:
        return
    count = sum(_is_outside(example, outside) for example in valid)
    if count == 0:
        raise DataError(
            f"{', '.join(sources)}: no example to validate on has the label {outside!r} of "
            "--out-of-scope-label; add some"
        )
    if count == len(valid):
        raise DataError(_all_outside(sources, outside))


def _is_outside(example: Example, outside: str | None) -> bool:
    """Whether an example has the label of texts out of scope, if there is one."""
    return outside is not None and example.label == outside


def _all_outside(sources: Sequence[str], outside: str | None) -> str:
    return (
        f"{', '.join(sources)}: all examples have the label {outside!r} of --out-of-scope-label; "
        "add some of other labels"
    )


def _check_labels(
    sources: Sequence[str], examples: Sequence[Example], known: Set[str | None]
) -> None:
    unknown = sorted(labels_of(examples) - known)
    if unknown:
        names = format_list([repr(label) for label in unknown], MAX_LISTED_LABELS)
        alike = {"".join(str(label).casefold().split()) for label in known}
        hint = ""
        if any("".join(label.casefold().split()) in alike for label in unknown):
            hint = " (some differ from known labels by case or spaces only)"
        raise DataError(
            f"{', '.join(sources)}: has labels that no training example has: {names}{hint}; "
            "remove those examples, or add such to --train"
        )

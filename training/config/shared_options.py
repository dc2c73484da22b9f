"""Options that several commands have, each with one name, range and help text."""

from __future__ import annotations

from typing import Any

from training.config.options import MAX_THREADS, option
from training.errors import RecipeError

MAX_SEED = 2**63 - 1
DEFAULT_WORD_VOCABULARY = 50_000  # or fewer, if the text has fewer words


def artifact_option() -> Any:
    """The directory of the model."""
    return option(..., "directory of the model", metavar="ARTIFACT", positional=True)


def json_option() -> Any:
    """``--json``: a file for the metrics."""
    return option(None, "file to write the metrics to", metavar="FILE")


def out_option() -> Any:
    """``--out``: a directory for the report."""
    return option(None, "directory to write a report page, its plots and data to", metavar="DIR")


def unit_option() -> Any:
    """``--unit``: what is a document in a text file."""
    return option("file", "document unit of a text file")


def column_option() -> Any:
    """``--column``: the column of texts, of records without labels."""
    return option(
        None,
        "text column of records, by name or by number from 1",
        metavar="NAME",
        unset='"text", or the only one',
    )


def header_option() -> Any:
    """``--header``: whether tables have a header."""
    return option(
        None, "whether the first row of .csv and .tsv files names the columns", unset="detected"
    )


def label_separator_option() -> Any:
    """``--label-separator``: what is between the labels of a cell."""
    return option(
        None,
        'text between the labels of a cell, as in --label-separator ";"; texts then have several '
        "labels, or none",
        metavar="TEXT",
        unset="a cell is one label",
    )


def check_label_separator(separator: str | None) -> None:
    """Raises RecipeError for an empty separator."""
    if separator == "":
        raise RecipeError('--label-separator: expected a text such as ";", got an empty one')


def encoding_option() -> Any:
    """``--encoding``: the encoding of files."""
    return option(
        None,
        "encoding of the files, as in windows-1252; a byte order mark takes precedence",
        metavar="NAME",
        unset="UTF-8; detected and told where a file is not UTF-8",
    )


def valid_option() -> Any:
    """``--valid``: validation files."""
    return option((), "validation files", metavar="FILE", unset="a part of --train")


def name_option() -> Any:
    """``--name``: the name of the model."""
    return option(None, "name of the model", unset="name of --out")


def description_option() -> Any:
    """``--description``: a text for the model card."""
    return option(None, "description for the model card", fixed=False)


def license_option() -> Any:
    """``--license``: a text for the model card."""
    return option(
        None,
        "license of data and model, for the model card",
        fixed=False,
        aliases=("licence",),
    )


def vocabulary_option() -> Any:
    """``--vocabulary``: the size of the vocabulary."""
    return option(
        None,
        "largest number of tokens in the vocabulary",
        metavar="N",
        unset=f"{DEFAULT_WORD_VOCABULARY:,} words, 4,096 BPE units or all characters",
        above=0,
    )


def minimum_count_option(*, unset: str) -> Any:
    """``--minimum-count``: the frequency of a token of the vocabulary."""
    return option(
        None,
        "fewest occurrences of a word or character in the vocabulary",
        metavar="N",
        unset=unset,
        above=0,
    )


def freeze_embeddings_option() -> Any:
    """``--freeze-embeddings``: whether the embedding is trained."""
    return option(False, "do not train the embedding")


def evaluations_option(default: int) -> Any:
    """``--evaluations``: how often the run is evaluated."""
    return option(default, "number of evaluations of the run", metavar="N", above=0)


def average_every_option() -> Any:
    """``--average-every``: whether processes train alone between means of their weights."""
    return option(
        0,
        "steps of each process alone between two means of the weights of all processes, for slow "
        "links; 0: the mean of the gradients in every step",
        metavar="N",
        at_least=0,
    )


def outer_momentum_option() -> Any:
    """``--outer-momentum``: the momentum of the outer steps."""
    return share_option(
        0.0, "with --average-every: Nesterov momentum of the means (DiLoCo has 0.9); 0: none"
    )


def outer_learning_rate_option() -> Any:
    """``--outer-learning-rate``: the size of the outer steps."""
    return option(
        1.0,
        "with --average-every: step from one mean to the next (DiLoCo has 0.7); 1: the mean itself",
        metavar="X",
        above=0,
        at_most=10,
    )


def check_outer_steps(every: int, momentum: float, learning_rate: float) -> None:
    """Raises RecipeError if there are outer steps without means."""
    if every == 0 and (momentum > 0.0 or learning_rate != 1.0):
        name = "momentum" if momentum > 0.0 else "learning-rate"
        raise RecipeError(f"--outer-{name}: belongs to --average-every; give both or neither")


def checkpoint_seconds_option(default: float) -> Any:
    """``--checkpoint-seconds``: how often the run is saved."""
    return option(default, "seconds between checkpoints", metavar="N", above=0, fixed=False)


def warm_up_option(default: float) -> Any:
    """``--warm-up``: the first part of the learning rate schedule."""
    return share_option(default, "share of the run in which the learning rate rises")


def clip_norm_option(default: float) -> Any:
    """``--clip-norm``: the limit of gradient clipping by norm."""
    return option(default, "largest norm of the gradient; 0: no limit", metavar="X", at_least=0)


def clip_value_option() -> Any:
    """``--clip-value``: the limit of gradient clipping by value."""
    return option(
        0.0, "largest absolute value in the gradient; 0: no limit", metavar="X", at_least=0
    )


def storage_option() -> Any:
    """``--storage``: the number format of the artifact."""
    return option(
        "float32", "number format of the weights in the artifact; float16 is half the size"
    )


def count_option(default: int | None, text: str, **details: Any) -> Any:
    """A whole number from 1."""
    return option(default, text, above=0, **{"metavar": "N", **details})


def share_option(default: float | None, text: str, **details: Any) -> Any:
    """A number from 0 to 1, 1 excluded."""
    return option(default, text, at_least=0, below=1, **{"metavar": "X", **details})


def threads_option(default: int | None = None, text: str = "number of threads") -> Any:
    """``--threads``: the number of threads of torch."""
    return option(
        default,
        text,
        metavar="N",
        unset="one for each processor",
        above=0,
        at_most=MAX_THREADS,
        fixed=False,
    )


def seed_option() -> Any:
    """``--seed``: the seed of all random numbers."""
    return option(1, "seed of all random numbers", metavar="N", at_least=0, at_most=MAX_SEED)

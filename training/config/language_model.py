"""Options of ``python -m training lm``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from training.config.options import check_values, option
from training.config.shared_options import (
    average_every_option,
    checkpoint_seconds_option,
    clip_norm_option,
    clip_value_option,
    column_option,
    count_option,
    description_option,
    encoding_option,
    evaluations_option,
    freeze_embeddings_option,
    header_option,
    license_option,
    minimum_count_option,
    name_option,
    seed_option,
    share_option,
    storage_option,
    threads_option,
    unit_option,
    valid_option,
    vocabulary_option,
    warm_up_option,
)
from training.config.time_budget import PACE_HELP, check_pace
from training.errors import RecipeError


def dropout_option(text: str) -> Any:
    """A share that the run chooses if it is not given."""
    return share_option(None, text, metavar="P", unset="by the number of epochs")


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelRecipe:
    """Options of a run. The run chooses the value of an option that is None."""

    train: tuple[str, ...] = option(
        (),
        "text, .jsonl, .csv or .tsv files (also compressed), folders, or hf:NAME[:SPLIT]",
        metavar="FILE",
    )
    valid: tuple[str, ...] = valid_option()
    test: tuple[str, ...] = option(
        (), "test files, on which the final model is measured", metavar="FILE"
    )
    holdout: float = share_option(
        0.05, "share of the text that is held out for validation without --valid"
    )
    unit: Literal["file", "paragraph", "line"] = unit_option()
    column: str | None = column_option()
    header: bool | None = header_option()
    encoding: str | None = encoding_option()
    name: str | None = name_option()
    description: str | None = description_option()
    license: str | None = license_option()

    token_cache: str | None = option(
        None,
        "directory that keeps the tokenized text for other runs",
        metavar="DIR",
        unset="directory of the run",
        fixed=False,
    )

    from_: str | None = option(
        None,
        "language model whose weights and tokenizer the run begins with",
        metavar="ARTIFACT",
    )
    tokenizer: Literal["auto", "word", "char", "bpe"] = option(
        "auto",
        "unit of a token; auto: words, characters of scripts without spaces between words, or BPE "
        "where many words are unknown; the run tells why",
    )
    vocabulary: int | None = vocabulary_option()
    minimum_count: int | None = minimum_count_option(
        unset="2 for words without --vocabulary, else 1"
    )
    pretokenized: bool | None = option(
        None, "split words at spaces only, as in WikiText", unset="detected"
    )

    cell: Literal["lstm", "gru", "elman"] | None = option(None, "recurrent cell", unset="lstm")
    layers: int | None = count_option(None, "number of recurrent layers", unset="2")
    hidden: int | None = count_option(
        None,
        "size of the hidden state",
        unset="128 to 800, by the number of tokens that the run reads",
    )
    embedding: int | None = count_option(
        None, "size of the embedding", unset="that of --hidden, at most 256; 64 for characters"
    )
    projection: int | None = option(
        None,
        "size of a layer between hidden state and output; 0: no such layer",
        metavar="N",
        unset="that of --embedding where tied weights need it",
        at_least=0,
    )
    tied: bool | None = option(
        None, "share the weights of embedding and output layer", unset="yes; no for characters"
    )
    vectors: str | None = option(
        None,
        "word2vec, fastText or GloVe file (text or .bin, also compressed, or .npy) that "
        "initializes the embedding",
        metavar="FILE",
    )
    freeze_embeddings: bool = freeze_embeddings_option()

    minutes: float | None = option(
        None,
        "duration of the whole command",
        metavar="N",
        unset="10 without --epochs and --steps",
        above=0,
    )
    epochs: float | None = option(
        None, "number of passes over the data, instead of --minutes", metavar="N", above=0
    )
    steps: int | None = count_option(None, "number of optimizer steps, instead of --minutes")
    pace: tuple[int, ...] | None = option(
        None, PACE_HELP, metavar="N", follows=("minutes", "epochs", "steps")
    )
    patience: int = option(
        8,
        "evaluations in a row without a better one after which the run stops; 0: never",
        metavar="N",
        at_least=0,
    )
    evaluations: int = evaluations_option(16)
    average_every: int = average_every_option()
    evaluation_tokens: int | None = count_option(
        None,
        "approximate number of tokens that each evaluation reads",
        unset="by the time that evaluation takes",
    )
    checkpoint_seconds: float = checkpoint_seconds_option(60.0)

    batch: int | None = count_option(
        None, "number of columns of text that are read in parallel", unset="16; 32 for characters"
    )
    bptt: int | None = count_option(
        None, "number of steps of backpropagation through time", unset="70; 128 for characters"
    )
    restart: float = share_option(
        0.02, "probability that a column begins a window from the initial state"
    )
    learning_rate: float | None = option(
        None,
        "peak learning rate",
        metavar="X",
        unset="by --hidden; half of that with --from",
        above=0,
    )
    warm_up: float = warm_up_option(0.12)
    weight_decay: float | None = option(
        None, "weight decay of AdamW", metavar="X", unset="0.01", at_least=0
    )
    clip_norm: float = clip_norm_option(0.25)
    clip_value: float = clip_value_option()
    softmax: Literal["full", "sampled", "adaptive"] | None = option(
        None,
        "softmax over all tokens, estimated from a sample, or with clusters of rare tokens",
        unset="sampled for vocabularies over 5,000, else full",
    )
    cutoffs: tuple[int, ...] | None = option(
        None,
        "cluster borders of an adaptive softmax, in tokens by falling frequency",
        metavar="N",
        unset="2000 10000, as far as below half of the vocabulary",
    )
    division: int | None = count_option(
        None,
        "factor by which each cluster of an adaptive softmax is narrower than the one before",
        unset="4",
    )
    candidates: int | None = count_option(
        None,
        "approximate number of tokens in the sample of a sampled softmax",
        unset="a twelfth of the vocabulary, 1,200 to 2,500",
    )
    averaging: float = share_option(
        0.25, "last share of the run whose weights are averaged; 0: no averaging"
    )

    dropout_input: float | None = dropout_option("locked dropout of the embedded tokens")
    dropout_hidden: float | None = dropout_option("locked dropout between layers")
    dropout_output: float | None = dropout_option("locked dropout of the last layer")
    dropout_embedding: float | None = dropout_option("dropout of whole word types")
    dropout_weight: float | None = dropout_option("dropout of hidden-to-hidden weights")
    activation_penalty: float | None = option(
        None, "weight of the penalty on large states", metavar="X", unset="2; 0 for characters"
    )
    temporal_penalty: float | None = option(
        None, "weight of the penalty on fast changes", metavar="X", unset="1; 0 for characters"
    )

    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "number format of matrix products; auto: bfloat16 where the processor computes it"
    )
    storage: Literal["float32", "float16"] = storage_option()
    threads: int | None = threads_option()
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check_values(self)
        if sum(budget is not None for budget in (self.minutes, self.epochs, self.steps)) > 1:
            raise RecipeError("--minutes, --epochs, --steps: give one of them")
        check_pace(self.pace, self.minutes)
        self._check_adaptive()

    def _check_adaptive(self) -> None:
        for name in ("cutoffs", "division"):
            if getattr(self, name) is not None and self.softmax != "adaptive":
                raise RecipeError(f"--{name}: belongs to --softmax adaptive")
        if self.softmax == "adaptive" and self.tokenizer == "bpe":
            raise RecipeError(
                "--softmax adaptive: needs tokens in the order of their frequency, which BPE does "
                "not give; use another --softmax, or --tokenizer word"
            )

"""What is decided before the first step of a classifier run: data, tokenizer, network, settings.

A fresh run makes its tokenizer and network from the data, and fits its linear classifier; a resumed
one takes them from its checkpoint and refuses data that have changed. Knows no training loop.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from model.architecture import ClassifierArchitecture
from model.linear_ngrams import LinearNgrams
from model.networks import Classifier
from model.regularization import Regularization
from model.tokenization.tokenizer import Tokenizer
from training.config.classifier import ClassifierRecipe, DatasetSize, complete_classifier
from training.data.batching import EncodedDocuments
from training.data.examples import OUT_OF_SCOPE_INDEX, ExampleSplits, encode_examples
from training.data.unknown_words import check_unknown_share
from training.data.vocabulary import (
    initial_embedding,
    load_vectors,
    train_classifier_tokenizer,
    unknown_share_of_documents,
)
from training.errors import CheckpointError
from training.evaluation.classifier import predict
from training.optimization.clipping import Clipping
from training.optimization.parameter_groups import LayerwiseSchedule
from training.optimization.schedule import Budget, OneCycle
from training.runs.checkpoint import Checkpoint, under_prefix
from training.runs.progress import Progress
from training.runtime.precision import choose_precision, settled
from training.trainers.classifier import Settings
from training.trainers.linear_classifier import extent_within, fit_linear
from training.trainers.pretrained_encoder import as_encoded, load_encoder, transfer

FITTING_SHARE = 0.2  # of a budget of minutes, at most, for the linear classifier
LINEAR = "linear"  # the prefix of its tensors in a checkpoint
MOST_UNKNOWN = 0.9  # of the tokens of a split: labels may hang on few words
PROBE = 256  # documents by which the speed of evaluation is measured


@dataclass(frozen=True, slots=True)
class Prepared:
    """``linear``: what is to stand beside the network at the end, fitted.

    ``known_vectors``: how many tokens begin with a vector from a file.
    """

    recipe: ClassifierRecipe
    splits: ExampleSplits
    tokenizer: Tokenizer
    train: EncodedDocuments
    valid: EncodedDocuments
    test: EncodedDocuments
    network: Classifier
    linear: LinearNgrams | None = None
    known_vectors: int | None = None

    @property
    def answers(self) -> tuple[str, ...]:
        """What the classifier will be able to answer."""
        outside, labels = self.recipe.out_of_scope_label, self.splits.labels
        return labels if outside is None else (*labels, outside)


def prepare_fresh(recipe: ClassifierRecipe, splits: ExampleSplits) -> Prepared:
    """All for a run that begins; the recipe's open choices are made."""
    texts = [example.text for example in splits.train]
    prepare = _prepare_new if recipe.from_ is None else _prepare_from
    prepared = prepare(recipe, splits, texts)
    _check_known(prepared)
    linear = _untrained_linear(prepared)
    if linear is not None:
        _fit(linear, prepared)
    return replace(prepared, linear=linear)


def prepare_resumed(
    recipe: ClassifierRecipe, splits: ExampleSplits, checkpoint: Checkpoint, file: Path
) -> Prepared:
    """All for a run that goes on from the checkpoint in ``file``.

    Raises:
        CheckpointError: the data are not those that the run was begun with.
    """
    if checkpoint.values["data"] != splits.digest:
        raise CheckpointError(
            f"{file}: the run was begun with other data than is in "
            f"{', '.join([*recipe.train, *recipe.valid, *recipe.test])} now; restore the files, "
            "or begin anew with --overwrite"
        )
    # All weights are in the checkpoint: neither vectors nor a language model are read again.
    prepared = _assemble(recipe, splits, Tokenizer.from_json(checkpoint.values["tokenizer"]))
    linear = _untrained_linear(prepared)
    if linear is not None:
        linear.load_state_dict(under_prefix(LINEAR, checkpoint.tensors))
    return replace(prepared, linear=linear)


def _check_known(prepared: Prepared) -> None:
    splits = prepared.splits
    advice = "choose --tokenizer char or bpe, or give more such texts to --train"
    if prepared.recipe.from_ is not None:
        advice = "the model of --from reads texts of another kind; choose another, or none"
    for name, documents, examples in (
        ("--train", prepared.train, splits.train),
        ("the held-out examples" if splits.held_out else "--valid", prepared.valid, splits.valid),
    ):
        unknown = unknown_share_of_documents(documents.tokens, prepared.tokenizer)
        texts = (example.text for example in examples)
        check_unknown_share(name, unknown, texts, most=MOST_UNKNOWN, advice=advice)


def _corpus_size(recipe: ClassifierRecipe, splits: ExampleSplits, texts: list[str]) -> DatasetSize:
    """Lengths are estimated: the tokenizer is not made yet."""
    characters = recipe.tokenizer == "char"
    lengths = [len(text) if characters else len(text.split()) for text in texts]
    return DatasetSize(
        documents=len(texts),
        labels=len(splits.labels),
        length=sum(min(length, recipe.max_tokens) for length in lengths) / len(texts),
    )


def _prepare_new(recipe: ClassifierRecipe, splits: ExampleSplits, texts: list[str]) -> Prepared:
    """A run that begins from word vectors, random or read."""
    size = _corpus_size(recipe, splits, texts)
    vectors = load_vectors(recipe, texts)
    if vectors:
        recipe = replace(recipe, embedding=recipe.embedding or len(next(iter(vectors.values()))))
    recipe = _completed(recipe, size)
    tokenizer = train_classifier_tokenizer(recipe, texts, vectors)
    prepared = _assemble(recipe, splits, tokenizer)
    begin = initial_embedding(recipe, tokenizer, vectors)
    if begin is None:
        return prepared
    with torch.no_grad():
        prepared.network.embedding.weight.copy_(begin[0])
    return replace(prepared, known_vectors=begin[1])


def _prepare_from(recipe: ClassifierRecipe, splits: ExampleSplits, texts: list[str]) -> Prepared:
    """A run that begins from a language model."""
    minimum_count = complete_classifier(recipe, _corpus_size(recipe, splits, texts)).minimum_count
    encoder = load_encoder(recipe, texts, minimum_count or 1)
    recipe = as_encoded(recipe, encoder)
    recipe = _completed(recipe, _corpus_size(recipe, splits, texts))
    prepared = _assemble(recipe, splits, encoder.tokenizer)
    transfer(encoder, prepared.network)
    return prepared


def _completed(recipe: ClassifierRecipe, size: DatasetSize) -> ClassifierRecipe:
    recipe = complete_classifier(recipe, size)
    if recipe.precision == "auto":
        return replace(recipe, precision=choose_precision())
    return recipe


def _assemble(recipe: ClassifierRecipe, splits: ExampleSplits, tokenizer: Tokenizer) -> Prepared:
    torch.manual_seed(recipe.seed)
    network = _network(recipe, tokenizer, len(splits.labels))
    network.embedding.weight.requires_grad_(not recipe.freeze_embeddings)
    train_split, valid, test = (
        encode_examples(examples, tokenizer, splits.labels, recipe)
        for examples in (splits.train, splits.valid, splits.test)
    )
    return Prepared(recipe, splits, tokenizer, train_split, valid, test, network)


def _untrained_linear(prepared: Prepared) -> LinearNgrams | None:
    """The linear classifier that the recipe asks for, if any."""
    recipe = prepared.recipe
    longest = recipe.linear_ngrams or 0
    if longest == 0:
        return None
    labels = len(prepared.splits.labels)
    return LinearNgrams(prepared.tokenizer.size, longest, recipe.linear_buckets or 1, labels)


def _fit(linear: LinearNgrams, prepared: Prepared) -> None:
    """As much as takes a fifth of a budget of minutes on a usual machine, about."""
    seconds = FITTING_SHARE * 60.0 * (prepared.recipe.minutes or math.inf)
    extent = extent_within(seconds, linear, prepared.train)
    with Progress("linear classifier") as bar:

        def told(share: float) -> bool:
            bar.update(share, figures={})
            return share >= extent.share

        fit_linear(linear, prepared.train, prepared.valid, told, most_runs=extent.runs)


def _network(recipe: ClassifierRecipe, tokenizer: Tokenizer, labels: int) -> Classifier:
    architecture = ClassifierArchitecture(
        cell=recipe.cell or "lstm",
        vocabulary=tokenizer.size,
        embedding=recipe.embedding or 0,
        hidden=recipe.hidden or 0,
        layers=recipe.layers or 0,
        bidirectional=bool(recipe.bidirectional),
        pooling=recipe.pooling,
        ngrams=recipe.ngrams or 1,
        ngram_buckets=recipe.ngram_buckets,
        mlp=recipe.mlp or 0,
        labels=labels,
    )
    return Classifier(
        architecture,
        Regularization(
            input=recipe.dropout_input or 0.0,
            hidden=recipe.dropout_hidden,
            output=recipe.dropout_output or 0.0,
            weight=recipe.dropout_weight,
            embedding=recipe.dropout_embedding,
            word=recipe.dropout_word or 0.0,
            ngram=recipe.dropout_ngram,
            mlp=recipe.dropout_mlp or 0.0,
        ),
    )


def settings_of(prepared: Prepared) -> Settings:
    """What the training loop is to do; a time budget keeps seconds back for the measuring."""
    recipe = prepared.recipe
    assert recipe.batch is not None
    lengths = [min(length, recipe.crop or length) for length in prepared.train.lengths]
    mean_length = sum(lengths) / len(lengths)
    time_budget, reserve = None, 0.0
    if recipe.minutes is not None:
        seconds = 60.0 * recipe.minutes
        time_budget = Budget(seconds=seconds)
        reserve = min(0.3 * seconds, 1.0 + 1.3 * _measuring_seconds(prepared))
    return Settings(
        train=prepared.train,
        valid=prepared.valid,
        budget=Budget(epochs=recipe.epochs),
        time_budget=time_budget,
        reserve=reserve,
        recorded_pace=recipe.pace,
        cycle=OneCycle(
            peak=recipe.learning_rate or 0.0,
            warm_up=recipe.warm_up,
            momentum_high=0.9,
            momentum_low=0.9,
        ),
        pace=LayerwiseSchedule(
            decay=recipe.layer_decay or 1.0, unfreezing=recipe.unfreezing or 0.0
        ),
        batch_tokens=max(1, round(recipe.batch * mean_length)),
        crop=recipe.crop,
        label_smoothing=recipe.label_smoothing,
        weight_decay=recipe.weight_decay,
        clipping=Clipping(by_value=recipe.clip_value, by_norm=recipe.clip_norm),
        guessing=_guessing_loss(prepared),
        precision=settled(recipe.precision),
        patience=recipe.patience,
        evaluations=recipe.evaluations,
        seed=recipe.seed,
    )


def _guessing_loss(prepared: Prepared) -> float:
    """Of guessing the label of a validation document by how often it is in the training data."""
    labels = len(prepared.splits.labels)
    seen_C, asked_C = (
        torch.bincount(
            torch.tensor([at for at in split.labels if at != OUT_OF_SCOPE_INDEX]), minlength=labels
        )
        for split in (prepared.train, prepared.valid)
    )
    chances_C = (seen_C + 1.0) / (seen_C + 1.0).sum()
    return float(-(asked_C * chances_C.log()).sum() / asked_C.sum())


def _measuring_seconds(prepared: Prepared) -> float:
    """How long the end of a run takes: a last evaluation, joining, and both splits once more."""
    sample = EncodedDocuments(prepared.valid.tokens[:PROBE], prepared.valid.labels[:PROBE])
    began = time.perf_counter()
    predict(prepared.network, sample)
    seconds = time.perf_counter() - began
    return seconds * (3 * len(prepared.valid) + len(prepared.test)) / len(sample)

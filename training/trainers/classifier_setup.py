"""The data, tokenizer, untrained network and settings of a classifier run.

A fresh run makes its tokenizer and network from the data and fits its linear classifier. A resumed
run takes them from its checkpoint.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.architecture import ClassifierArchitecture
from model.linear_ngrams import LinearNgrams
from model.networks import Classifier
from model.regularization import Regularization
from model.tokenization.tokenizer import Tokenizer
from training.config.classifier import ClassifierRecipe, DatasetSize, complete_classifier
from training.data.batching import EncodedDocuments
from training.data.examples import OUT_OF_SCOPE_INDEX, ExampleSplits, encode_examples, read_splits
from training.data.noise import with_recipe_noise
from training.data.tokenizer_choice import choose_for_classifier
from training.data.unknown_words import check_unknown_share
from training.data.vocabulary import (
    initial_embedding,
    load_vectors,
    train_classifier_tokenizer,
    unknown_share_of_documents,
)
from training.evaluation.calibration import mean_loss
from training.evaluation.classifier import predict
from training.readers.notices import LOG
from training.runs.checkpoint import Checkpoint, under_prefix
from training.runs.directory import RunDirectory
from training.runs.progress import Progress
from training.runs.resolve import reading_data
from training.runs.resuming import check_same_data
from training.runtime.precision import choose_precision
from training.trainers.linear_classifier import extent_within, fit_linear
from training.trainers.pretrained_model import as_encoded, load_encoder, transfer

FITTING_SHARE = 0.2  # of a budget of minutes, at most, for the linear classifier
LINEAR = "linear"  # the prefix of its tensors in a checkpoint
MOST_UNKNOWN_IN_DOCUMENTS = 0.9  # of the tokens of a split: few words may decide the label
SPEED_DOCUMENTS = 256  # documents on which the speed of evaluation is measured


@dataclass(frozen=True, slots=True)
class ClassifierSetup:
    """The completed recipe, its data and the network.

    Args:
        recipe: with a value for every option.
        splits: the examples.
        tokenizer: of the run.
        train: the documents to train on.
        valid: the documents to validate on.
        test: the documents that are measured at the end; may be empty.
        network: untrained, or with the encoder of a language model.
        linear: the fitted linear classifier that joins the network at the end.
        known_vectors: how many tokens have a vector from a file.
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
        """The answers that the classifier can give."""
        outside, labels = self.recipe.out_of_scope_label, self.splits.labels
        return labels if outside is None else (*labels, outside)


def prepare_setup(
    recipe: ClassifierRecipe, directory: RunDirectory, checkpoint: Checkpoint | None
) -> ClassifierSetup:
    """Reads the data and builds the network.

    Args:
        recipe: of the run.
        directory: of the run.
        checkpoint: that the run is resumed from.

    Raises:
        DataError, RecipeError, VocabularyError: data or recipe cannot be used.
        CheckpointError: the data are not those that the run was begun with.
    """
    with reading_data(resumed=checkpoint is not None):
        splits = read_splits(recipe)
    if checkpoint is None:
        return _prepare_fresh(recipe, splits)
    sources = [*recipe.train, *recipe.valid, *recipe.test]
    check_same_data(checkpoint, splits.digest, directory, sources)
    # All weights are in the checkpoint: neither vectors nor a language model are read again.
    setup = _assemble(recipe, splits, Tokenizer.from_json(checkpoint.values["tokenizer"]))
    linear = _untrained_linear(setup)
    if linear is not None:
        linear.load_state_dict(under_prefix(LINEAR, checkpoint.tensors))
    return replace(setup, linear=linear)


def measure_reserve(setup: ClassifierSetup) -> float:
    """The seconds of a time budget to keep for the measurements after the last step."""
    if setup.recipe.minutes is None:
        return 0.0
    return min(0.3 * (60.0 * setup.recipe.minutes), 1.0 + 1.3 * _measuring_seconds(setup))


def _prepare_fresh(recipe: ClassifierRecipe, splits: ExampleSplits) -> ClassifierSetup:
    recipe = replace(recipe, multi_label=splits.multi_label)
    texts = [example.text for example in splits.train]
    prepare = _prepare_untrained if recipe.from_ is None else _prepare_transfer
    setup = prepare(recipe, splits, texts)
    _check_known(setup)
    linear = _untrained_linear(setup)
    if linear is not None:
        _fit(linear, setup)
    return replace(setup, linear=linear)


def _check_known(setup: ClassifierSetup) -> None:
    splits = setup.splits
    advice = "choose --tokenizer char or bpe, or give more such texts to --train"
    if setup.recipe.from_ is not None:
        advice = "the model of --from reads texts of another kind; choose another, or none"
    for name, documents, examples in (
        ("--train", setup.train, splits.train),
        ("the held-out examples" if splits.held_out else "--valid", setup.valid, splits.valid),
    ):
        unknown = unknown_share_of_documents(documents.tokens, setup.tokenizer)
        texts = (example.text for example in examples)
        check_unknown_share(name, unknown, texts, most=MOST_UNKNOWN_IN_DOCUMENTS, advice=advice)


def _corpus_size(recipe: ClassifierRecipe, splits: ExampleSplits, texts: list[str]) -> DatasetSize:
    """The size of the corpus, with estimated lengths: there is no tokenizer yet."""
    characters = recipe.tokenizer == "char"
    lengths = [len(text) if characters else len(text.split()) for text in texts]
    return DatasetSize(
        documents=len(texts),
        labels=len(splits.labels),
        length=sum(min(length, recipe.max_tokens) for length in lengths) / len(texts),
    )


def _prepare_untrained(
    recipe: ClassifierRecipe, splits: ExampleSplits, texts: list[str]
) -> ClassifierSetup:
    """For a run that begins from word vectors, random or from a file."""
    recipe = _with_chosen_tokenizer(recipe, texts)
    size = _corpus_size(recipe, splits, texts)
    vectors = load_vectors(recipe, texts)
    if vectors:
        recipe = replace(recipe, embedding=recipe.embedding or len(next(iter(vectors.values()))))
    recipe = _completed(recipe, size)
    tokenizer = train_classifier_tokenizer(recipe, texts, vectors)
    setup = _assemble(recipe, splits, tokenizer)
    embedding = initial_embedding(recipe, tokenizer, vectors)
    if embedding is None:
        return setup
    matrix_VE, known = embedding
    with torch.no_grad():
        setup.network.embedding.weight.copy_(matrix_VE)
    return replace(setup, known_vectors=known)


def _with_chosen_tokenizer(recipe: ClassifierRecipe, texts: list[str]) -> ClassifierRecipe:
    """The recipe with a tokenizer; a notice gives the reason for one that does not have words."""
    if recipe.tokenizer is not None or recipe.vectors is not None:
        return recipe
    choice = choose_for_classifier(texts)
    if choice.tokenizer != "word":
        LOG.info("--tokenizer %s is chosen, since %s", choice.tokenizer, choice.reason)
    return replace(recipe, tokenizer=choice.tokenizer)


def _prepare_transfer(
    recipe: ClassifierRecipe, splits: ExampleSplits, texts: list[str]
) -> ClassifierSetup:
    """For a run that begins from the encoder of a language model."""
    minimum_count = complete_classifier(recipe, _corpus_size(recipe, splits, texts)).minimum_count
    encoder = load_encoder(recipe, texts, minimum_count or 1)
    recipe = as_encoded(recipe, encoder)
    recipe = _completed(recipe, _corpus_size(recipe, splits, texts))
    setup = _assemble(recipe, splits, encoder.tokenizer)
    transfer(encoder, setup.network)
    return setup


def _completed(recipe: ClassifierRecipe, size: DatasetSize) -> ClassifierRecipe:
    recipe = complete_classifier(recipe, size)
    if recipe.precision == "auto":
        return replace(recipe, precision=choose_precision())
    return recipe


def _assemble(
    recipe: ClassifierRecipe, splits: ExampleSplits, tokenizer: Tokenizer
) -> ClassifierSetup:
    torch.manual_seed(recipe.seed)
    network = _network(recipe, tokenizer, len(splits.labels))
    network.embedding.weight.requires_grad_(not recipe.freeze_embeddings)
    train_split, valid, test = (
        encode_examples(examples, tokenizer, splits.labels, recipe)
        for examples in (splits.train, splits.valid, splits.test)
    )
    setup = ClassifierSetup(recipe, splits, tokenizer, train_split, valid, test, network)
    if splits.multi_label:
        with torch.no_grad():
            network.output.bias.copy_(_log_odds(setup))
    return setup


def _log_odds(setup: ClassifierSetup) -> Tensor:
    """The smoothed log-odds (C,) of the labels in the training data.

    A multi-label network begins with them (Lin et al., "Focal Loss", 2017): with a chance of one
    half for each of many labels its first loss would be that of a run that has diverged.
    """
    has_C = (setup.train.label_tensor.sum(dim=0) + 1.0) / (len(setup.train) + 2.0)
    return has_C.logit()


def _untrained_linear(setup: ClassifierSetup) -> LinearNgrams | None:
    """The linear classifier of the recipe, if it has one."""
    recipe = setup.recipe
    longest = recipe.linear_ngrams or 0
    if longest == 0:
        return None
    labels = len(setup.splits.labels)
    return LinearNgrams(setup.tokenizer.size, longest, recipe.linear_buckets or 1, labels)


def _fit(linear: LinearNgrams, setup: ClassifierSetup) -> None:
    """Fits for about a fifth of a budget of minutes on a usual machine."""
    seconds = FITTING_SHARE * 60.0 * (setup.recipe.minutes or math.inf)
    extent = extent_within(seconds, linear, setup.train)
    with Progress("linear classifier") as bar:

        def on_progress(share: float) -> bool:
            bar.update(share, figures={})
            return share >= extent.share

        train = with_recipe_noise(setup.recipe, setup.train, setup.tokenizer, epoch=0)
        fit_linear(linear, train, setup.valid, on_progress, most_runs=extent.runs)


def _network(recipe: ClassifierRecipe, tokenizer: Tokenizer, labels: int) -> Classifier:
    architecture = ClassifierArchitecture(
        cell=recipe.cell or "lstm",
        vocabulary=tokenizer.size,
        embedding=recipe.embedding or 0,
        hidden=recipe.hidden or 0,
        layers=recipe.layers or 0,
        bidirectional=bool(recipe.bidirectional),
        pooling=recipe.pooling or "last",
        ngrams=recipe.ngrams or 1,
        ngram_buckets=recipe.ngram_buckets,
        mlp=recipe.mlp or 0,
        labels=labels,
    )
    network = Classifier(
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
    if architecture.cell == "elman":
        _start_as_sum(network)
    return network


@torch.no_grad()
def _start_as_sum(network: Classifier) -> None:
    """Sets the hidden-to-hidden weights to the identity (Le, Jaitly and Hinton, 2015).

    The final state is then nearly a sum over the words, whose order the network learns to use. With
    random orthogonal weights every position of a word is another rotation of its vector, and a
    classifier of the final state did not get beyond chance (docs/experiments/classifiers.md).
    """
    for name, parameter in network.recurrent.named_parameters():
        if name.startswith("weight_hh"):
            torch.nn.init.eye_(parameter)


def guessing_loss(setup: ClassifierSetup) -> float:
    """The validation loss of the smoothed label distribution of the training data, in nats."""
    if setup.splits.multi_label:
        labels_BC = setup.valid.label_tensor
        return mean_loss(_log_odds(setup).expand_as(labels_BC), labels_BC)
    train_C, valid_C = (
        torch.bincount(
            torch.tensor([label for label in split.labels if label != OUT_OF_SCOPE_INDEX]),
            minlength=len(setup.splits.labels),
        )
        for split in (setup.train, setup.valid)
    )
    probabilities_C = (train_C + 1.0) / (train_C + 1.0).sum()
    return float(-(valid_C * probabilities_C.log()).sum() / valid_C.sum())


def _measuring_seconds(setup: ClassifierSetup) -> float:
    """The duration of a last evaluation, of joining the linear classifier and of both splits."""
    sample = setup.valid.at(range(min(SPEED_DOCUMENTS, len(setup.valid))))
    start = time.perf_counter()
    predict(setup.network, sample)
    seconds = time.perf_counter() - start
    return seconds * (3 * len(setup.valid) + len(setup.test)) / len(sample)

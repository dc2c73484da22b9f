"""The classifier task: batches of documents of similar length.

The kept weights are the latest within one standard error of the highest validation accuracy
(Breiman et al., "Classification and Regression Trees", 1984): a validation split of some hundred
documents cannot tell them apart, and later weights have been learned at lower rates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from model.artifact import Calibration
from model.networks import Classifier
from training.config.classifier import ClassifierRecipe
from training.data.batching import (
    EncodedDocuments,
    PaddedBatch,
    collate,
    crop_documents,
    epoch_batches,
)
from training.data.examples import OUT_OF_SCOPE_INDEX
from training.data.noise import with_recipe_noise
from training.data.vocabulary import unknown_share_of_documents
from training.evaluation.calibration import fit_temperature
from training.evaluation.classifier import Predicted, Predictions, predict
from training.evaluation.confidence import standard_error
from training.evaluation.metric_names import format_loss, format_name
from training.evaluation.multi_label.predictions import LabelSetPredictions, step_micro_f1
from training.evaluation.multi_label.summary import multi_label_summary
from training.evaluation.out_of_scope import fit_out_of_scope
from training.optimization.losses import label_loss
from training.optimization.parameter_groups import LayerwiseSchedule, classifier_groups
from training.optimization.schedule import OneCycle
from training.readers.sources import expand_sources
from training.runs.checkpoint import Checkpoint, with_prefix
from training.runs.directory import RunDirectory
from training.runtime.distributed import ProcessGroup
from training.runtime.precision import as_precision, autocast
from training.trainers.classifier_setup import (
    LINEAR,
    ClassifierSetup,
    guessing_loss,
    measure_reserve,
    prepare_setup,
)
from training.trainers.linear_classifier import join_linear
from training.trainers.pretrained_model import weights_source
from training.trainers.state import TrainerState, training_settings
from training.trainers.task import Evaluation, MeasuredModel, StepLoss, Task, TrainingBatch

CONFUSIONS = 5  # pairs of labels in the summary
MOMENTUM = 0.9
CHANCE_ERRORS = 2.0  # standard errors by which a model has to be better than a guess


@dataclass(frozen=True, slots=True)
class ClassifierEvaluation(Evaluation):
    """Loss and score on the documents of the validation split that are in scope.

    Args:
        measure: the name of the score: "accuracy", or "micro_f1" of a multi-label classifier.
        value: the score.
        observations: documents, or labels of documents, that the score is measured on.
        predictions: of all documents.
    """

    measure: str
    value: float
    observations: int
    predictions: Predicted

    @property
    def score(self) -> float:
        return self.value

    def figures(self) -> dict[str, float]:
        return {self.measure: self.value, "loss": self.loss}

    def summary(self) -> str:
        name = format_name(self.measure)
        return f"validation {name} {self.value:.4f}, loss {format_loss(self.loss)}"


class ClassifierTask(Task[PaddedBatch, ClassifierEvaluation]):
    """A classifier with its data.

    Args:
        setup: recipe, data and network.
        reserve: seconds of a time budget that are kept for the last measurements.
    """

    command: ClassVar[str] = "classifier"
    recipe_type: ClassVar[type[Any]] = ClassifierRecipe

    network: Classifier
    recipe: ClassifierRecipe

    def __init__(self, setup: ClassifierSetup, reserve: float = 0.0) -> None:
        recipe = setup.recipe
        self.network = setup.network
        self.recipe = recipe
        self.tokenizer = setup.tokenizer
        self.data_digest = setup.splits.digest
        self.settings = training_settings(
            recipe,
            OneCycle(
                peak=recipe.learning_rate or 0.0,
                warm_up=recipe.warm_up,
                momentum_high=MOMENTUM,
                momentum_low=MOMENTUM,
            ),
            guessing_loss=guessing_loss(setup),
            reserve=reserve,
        )
        self._setup = setup
        self._precision = as_precision(recipe.precision)
        self._batch_tokens = _batch_tokens(setup)
        self._documents = setup.train  # of the current epoch, which may be crop_documents
        self._batches: list[list[int]] = []

    @classmethod
    def prepare(
        cls,
        recipe: ClassifierRecipe,
        directory: RunDirectory,
        checkpoint: Checkpoint | None,
        process_group: ProcessGroup,  # noqa: ARG003
    ) -> Self:
        setup = prepare_setup(recipe, directory, checkpoint)
        if checkpoint is not None:
            return cls(setup, checkpoint.values["reserve"])
        return cls(setup, measure_reserve(setup))

    def describe(self) -> list[str]:
        setup, recipe, a = self._setup, self.recipe, self.network.architecture
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        known = setup.known_vectors
        vectors = "" if known is None else f", {known:,} from --vectors"
        longest = recipe.linear_ngrams
        linear = f"linear over runs of 1 to {longest}, " if longest else ""
        minutes = "" if recipe.minutes is None else f" or {recipe.minutes:g} min"
        unknown = unknown_share_of_documents(setup.valid.tokens, self.tokenizer)
        data = (
            f"{len(setup.train):,} documents to train on, {len(setup.valid):,} to validate on "
            f"({unknown:.2%} of their tokens unknown), {a.labels} labels"
            f"{', any number of them a text' if setup.splits.multi_label else ''}, "
            f"vocabulary {a.vocabulary:,} ({recipe.tokenizer}{vectors})"
        )
        network = (
            f"{'bidirectional ' if a.bidirectional else ''}{a.cell} {a.layers}x{a.hidden}, "
            f"embedding {a.embedding}, pooling {a.pooling}, head {a.mlp}, {linear}"
            f"{parameters:,} parameters, {recipe.precision}; at most {recipe.epochs:g} epochs"
            f"{minutes}"
        )
        if not setup.splits.held_out:
            return [data, network]
        return [
            data,
            network,
            f"no --valid: {recipe.holdout:.0%} of each label's examples held out",
        ]

    def sources(self) -> dict[str, list[str]]:
        recipe = self.recipe
        sources = {
            split: expand_sources(getattr(recipe, split)) for split in ("train", "valid", "test")
        }
        return sources | weights_source(recipe.from_)

    def parameter_groups(self) -> list[dict[str, Any]]:
        recipe = self.recipe
        schedule = LayerwiseSchedule(
            decay=recipe.layer_decay or 1.0, unfreezing=recipe.unfreezing or 0.0
        )
        return classifier_groups(self.network, recipe.weight_decay, schedule)

    def start_epoch(self, epoch: int) -> int:
        train, recipe = self._setup.train, self.recipe
        self._documents = train
        if recipe.crop is not None:
            self._documents = crop_documents(train, recipe.crop, seed=recipe.seed, epoch=epoch)
        self._documents = with_recipe_noise(recipe, self._documents, self.tokenizer, epoch=epoch)
        self._batches = epoch_batches(
            self._documents.lengths, budget=self._batch_tokens, seed=recipe.seed, epoch=epoch
        )
        return len(self._batches)

    def batch(self, index: int, process_group: ProcessGroup) -> TrainingBatch[PaddedBatch]:
        documents = self._batches[index]
        own, weight = process_group.rows(documents)
        return TrainingBatch(
            collate(self._documents, own),
            tokens=sum(len(self._documents.tokens[document]) for document in documents),
            epoch_share=(index + 1) / len(self._batches),
            weight=weight,
        )

    def loss(self, inputs: PaddedBatch) -> StepLoss:
        with autocast(self._precision):
            logits_BC = self.network(inputs.tokens_TB, inputs.lengths_B)
        loss = label_loss(logits_BC.float(), inputs.labels_B, self.recipe.label_smoothing)
        return StepLoss(loss, {"loss": loss.detach(), **_step_score(logits_BC, inputs.labels_B)})

    def evaluate(self) -> ClassifierEvaluation:
        predictions = predict(self.network, self._setup.valid, self._precision)
        if isinstance(predictions, LabelSetPredictions):
            given, f1 = int(predictions.truth.sum()), predictions.best_micro_f1
            return ClassifierEvaluation(predictions.loss, "micro_f1", f1, given, predictions)
        inside = predictions.in_scope
        accuracy, documents = inside.accuracy, len(inside.labels_B)
        return ClassifierEvaluation(inside.loss, "accuracy", accuracy, documents, predictions)

    def is_best(self, evaluation: ClassifierEvaluation, best_score: float | None) -> bool:
        best = max(best_score or 0.0, evaluation.score)
        return evaluation.score >= best - standard_error(best, evaluation.observations)

    def measure_best(self, evaluation: ClassifierEvaluation, state: TrainerState) -> MeasuredModel:
        """Measurements on the validation split; the test split is measured once, at the end."""
        calibration = self._calibration(evaluation.predictions)
        return self._measured(
            evaluation.predictions.metrics("validation", calibration), calibration, state
        )

    def finish_network(self) -> list[str]:
        setup = self._setup
        if setup.linear is None:
            return []
        share = join_linear(self.network, setup.linear, setup.valid)
        longest = setup.linear.longest
        one_each = ", one for each label" if setup.splits.multi_label else ""
        line = (
            f"the answers are a mean of two models: {1 - share:.0%} this network, {share:.0%} "
            f"logistic regression on TF-IDF of 1- to {longest}-grams (as TfidfVectorizer and "
            f"LogisticRegression of scikit-learn{one_each}); validation chose the shares"
        )
        return [line]

    def measure_final(self, state: TrainerState, seconds_left: float) -> MeasuredModel:  # noqa: ARG002
        setup = self._setup
        predictions = predict(self.network, setup.valid)
        calibration = self._calibration(predictions)
        metrics = predictions.metrics("validation", calibration)
        if len(setup.test):
            predictions = predict(self.network, setup.test)
            metrics |= predictions.metrics("test", calibration)
        if isinstance(predictions, LabelSetPredictions):
            summary = multi_label_summary(
                metrics,
                predictions,
                setup.valid.label_tensor.numpy() > 0,
                calibration,
                names=setup.splits.labels,
                remedies=_remedies(self.recipe),
            )
        else:
            summary = self._summary(metrics, predictions.answered(calibration))
        return self._measured(metrics, calibration, state, summary)

    def fixed_tensors(self) -> dict[str, Tensor]:
        linear = self._setup.linear
        return {} if linear is None else with_prefix(LINEAR, linear.state_dict())

    def _calibration(self, valid: Predicted) -> Calibration:
        if isinstance(valid, LabelSetPredictions):
            return valid.fit()
        recipe, in_scope = self.recipe, valid.in_scope
        temperature = fit_temperature(in_scope.logits_BC, in_scope.labels_B)
        if recipe.out_of_scope_label is None:
            return Calibration(temperature)
        out_of_scope = fit_out_of_scope(
            valid.logits_BC,
            valid.labels_B,
            label=recipe.out_of_scope_label,
            share=recipe.out_of_scope_share,
        )
        return Calibration(temperature, out_of_scope)

    def _measured(
        self,
        metrics: Mapping[str, float],
        calibration: Calibration,
        state: TrainerState,
        summary: Sequence[str] = (),
    ) -> MeasuredModel:
        of_run = {
            "training_seconds": round(state.seconds, 1),
            "training_steps": state.steps,
            "training_epochs": round(state.epochs, 3),
        }
        parts = {"labels": self._setup.splits.labels, "calibration": calibration}
        return MeasuredModel({**metrics, **of_run}, parts, summary)

    def _summary(self, metrics: Mapping[str, float], answered: Predictions) -> list[str]:
        """Lines about each split, and about the most frequent mistakes in ``answered``."""
        lines = [
            f"{split}: accuracy {metrics[f'{split}_accuracy']:.4f}, "
            f"macro F1 {metrics[f'{split}_macro_f1']:.4f}, calibration error "
            f"{metrics[f'{split}_calibration_error']:.4f} "
            f"({metrics[f'{split}_calibration_error_before']:.4f} before calibration)"
            for split in ("validation", "test")
            if f"{split}_accuracy" in metrics
        ]
        lines += self._guessing_warning(metrics["validation_accuracy"])
        answers = self._setup.answers
        mistakes = [
            f"{answers[truth]} for {answers[answer]} ({count})"
            for truth, answer, count in answered.confusions(CONFUSIONS)
        ]
        if mistakes:
            lines.append(f"most often mistaken, truth for answer: {', '.join(mistakes)}")
        return lines

    def _guessing_warning(self, accuracy: float) -> list[str]:
        """A warning, if the accuracy is that of one answer to every document, or so by chance."""
        label, share = _most_frequent_label(self._setup.valid)
        documents = sum(one != OUT_OF_SCOPE_INDEX for one in self._setup.valid.labels)
        if accuracy > share + CHANCE_ERRORS * standard_error(share, documents):
            return []
        better = "" if accuracy <= share else " beyond chance (two standard errors)"
        return [
            f"warning: the model is no better{better} than the answer "
            f"{self._setup.splits.labels[label]!r} to every document (accuracy {share:.4f}); "
            + _remedies(self.recipe)
        ]


def _remedies(recipe: ClassifierRecipe) -> str:
    """What to try with a model that has not learned, the most promising first."""
    remedies = ["train for longer", "with more examples"]
    if recipe.cell == "elman":
        remedies.append("with --cell lstm or gru, which keep words for longer")
    if recipe.pooling == "last":
        remedies.append("with --pooling last_max_mean, which shows the head every state")
    rate = recipe.learning_rate or 0.0
    remedies.append(f"with another --learning-rate, such as {rate / 4:.2g} instead of {rate:g}")
    return f"{', '.join(remedies[:-1])}, or {remedies[-1]}"


def _batch_tokens(setup: ClassifierSetup) -> int:
    """The most tokens of a batch: ``batch`` documents of mean length."""
    recipe = setup.recipe
    assert recipe.batch is not None
    lengths = [min(length, recipe.crop or length) for length in setup.train.lengths]
    return max(1, round(recipe.batch * (sum(lengths) / len(lengths))))


def _most_frequent_label(documents: EncodedDocuments) -> tuple[int, float]:
    """Its index, and its share of the documents in scope."""
    labels = [label for label in documents.labels if label != OUT_OF_SCOPE_INDEX]
    label, count = Counter(labels).most_common(1)[0]
    return label, count / len(labels)


def _step_score(logits_BC: Tensor, labels_B: Tensor) -> dict[str, Tensor]:
    """The accuracy on the documents in scope, or the micro F1 of a multi-label classifier."""
    if labels_B.dim() == 2:
        return {"micro_f1": step_micro_f1(logits_BC, labels_B)}
    correct_B, in_scope_B = logits_BC.argmax(dim=1) == labels_B, labels_B != OUT_OF_SCOPE_INDEX
    return {"accuracy": correct_B.sum() / in_scope_B.sum().clamp(min=1)}

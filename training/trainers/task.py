"""The interface of a training task: batches, loss, evaluation, parameter groups and artifact.

:class:`training.trainers.trainer.Trainer` trains any task. There are two:
:class:`training.trainers.language_model.LanguageModelTask` and
:class:`training.trainers.classifier.ClassifierTask`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from torch import Tensor

from model.artifact import Network
from model.tokenization.tokenizer import Tokenizer
from training.config.classifier import ClassifierRecipe
from training.config.language_model import LanguageModelRecipe
from training.runs.checkpoint import Checkpoint
from training.runs.directory import RunDirectory
from training.runtime.distributed import ProcessGroup
from training.trainers.state import TrainerState, TrainingSettings

Recipe = LanguageModelRecipe | ClassifierRecipe
Inputs = TypeVar("Inputs")


@dataclass(frozen=True, slots=True)
class TrainingBatch(Generic[Inputs]):
    """The share of one batch that a process reads.

    Args:
        inputs: what :meth:`Task.loss` takes.
        tokens: of the whole batch.
        epoch_share: the share of the epoch that has been read after this batch.
        weight: of the mean over ``inputs`` in the mean over all processes.
        length: a batch that is shorter than usual moves the weights by as much less.
        usual_length: the same of a usual batch.
    """

    inputs: Inputs
    tokens: int
    epoch_share: float
    weight: float = 1.0
    length: int = 1
    usual_length: int = 1


class StepLoss(NamedTuple):
    """The minimized loss of a batch, and detached figures of it: ``loss`` and perhaps others."""

    total: Tensor
    figures: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Evaluation(ABC):
    """The result of an evaluation on the validation split; ``loss`` in nats."""

    loss: float

    @property
    @abstractmethod
    def score(self) -> float:
        """Higher is better."""

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """The figures that are logged, by name."""

    @abstractmethod
    def summary(self) -> str:
        """The figures as a phrase."""


EvaluationT = TypeVar("EvaluationT", bound=Evaluation)


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """The measurements that an artifact is saved with.

    Args:
        metrics: of the manifest.
        parts: further arguments of ``save_artifact``: labels and calibration of a classifier.
        summary: lines for the person who started the run.
    """

    metrics: dict[str, float]
    parts: Mapping[str, Any] = field(default_factory=dict)
    summary: Sequence[str] = ()


class Task(ABC, Generic[Inputs, EvaluationT]):
    """A network with its data.

    Attributes:
        command: the name of the task's command.
        recipe_type: the options of that command.
        concludes_once: whether a run that is complete is not measured again when it is resumed.
        network: is trained in place.
        recipe: with a value for every option that the run has chosen.
        data_digest: differs where the data differ.
    """

    command: ClassVar[str]
    recipe_type: ClassVar[type[Any]]
    concludes_once: ClassVar[bool] = False

    network: Network
    recipe: Recipe
    tokenizer: Tokenizer
    data_digest: str
    settings: TrainingSettings

    @classmethod
    @abstractmethod
    def prepare(
        cls,
        recipe: Any,
        directory: RunDirectory,
        checkpoint: Checkpoint | None,
        process_group: ProcessGroup,
    ) -> Self:
        """Reads the data and builds the network, for a fresh run or one that is resumed.

        Args:
            recipe: of ``recipe_type``.
            directory: of the run; for a fresh run its draft.
            checkpoint: that the run is resumed from.
            process_group: the processes that share each batch.
        """

    @abstractmethod
    def describe(self) -> list[str]:
        """Lines about the data and the network, shown before the first step."""

    @abstractmethod
    def sources(self) -> dict[str, list[str]]:
        """The files that the run reads, by split."""

    @abstractmethod
    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimizer.

        Beside torch's keys each has ``scale``, a factor of the learning rate, and ``begins``, the
        progress from which on its parameters learn.
        """

    @abstractmethod
    def start_epoch(self, epoch: int) -> int:
        """Lays out an epoch, as a function of the seed and its number. Returns the batch count."""

    @abstractmethod
    def batch(self, index: int, process_group: ProcessGroup) -> TrainingBatch[Inputs]:
        """A batch of the current epoch."""

    @abstractmethod
    def loss(self, inputs: Inputs) -> StepLoss:
        """The forward pass; replaces the carried state."""

    @abstractmethod
    def evaluate(self) -> EvaluationT:
        """Evaluates the network on the validation split."""

    @abstractmethod
    def is_best(self, evaluation: EvaluationT, best_score: float | None) -> bool:
        """Whether the evaluated weights are kept; ``best_score`` is of earlier evaluations."""

    @abstractmethod
    def measure_best(self, evaluation: EvaluationT, state: TrainerState) -> MeasuredModel:
        """Measurements of the best weights so far, from their evaluation."""

    @abstractmethod
    def measure_final(self, state: TrainerState, seconds_left: float) -> MeasuredModel:
        """Measures the network at the end of the run, within ``seconds_left`` if possible."""

    def best_network(self, best_weights: Mapping[str, Tensor]) -> Network:  # noqa: ARG002
        """A network with the best weights, which have just been evaluated; for the artifact."""
        return self.network

    def step_figures(self, smoothed: Mapping[str, float]) -> dict[str, float]:
        """The figures of the training steps that are shown and logged."""
        return dict(smoothed)

    def check_first_step(self, progress: float, seconds: float) -> None:
        """Refuses a run whose budget is used up before its first step; the default accepts it."""

    def finish_network(self) -> list[str]:
        """Completes the network, which has the best weights now. Returns lines about it."""
        return []

    def split_carried_state(self, process_group: ProcessGroup) -> None:
        """Keeps the share of this process in the state that is carried from batch to batch."""

    def gather_carried_state(self, process_group: ProcessGroup) -> dict[str, Tensor]:  # noqa: ARG002
        """The carried state of all processes, for the main process; every process calls it."""
        return {}

    def restore_carried_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores :meth:`gather_carried_state`."""

    def fixed_tensors(self) -> dict[str, Tensor]:
        """Tensors of the checkpoint that the run does not change."""
        return {}

"""The files of a run that is under way: its checkpoint, and the artifact of the best weights."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from model.artifact import Network
from training.config.options import recipe_values
from training.data.provenance import provenance, with_recipe
from training.runs.checkpoint import Checkpoint, save_checkpoint
from training.runs.directory import RunDirectory
from training.runs.export import round_to_storage, save_model
from training.trainers.task import Evaluation, MeasuredModel, Recipe
from training.trainers.trainer import Trainer


class Checkpointer:
    """Saves the checkpoint of a run and the artifact of its best weights.

    Args:
        trainer: of the run.
        directory: of the run.
    """

    def __init__(self, trainer: Trainer, directory: RunDirectory) -> None:
        task = trainer.task
        recipe = recipe_values(task.recipe)
        self._trainer = trainer
        self._task = task
        self._directory = directory
        self._saved_at = time.monotonic()
        self._header: Mapping[str, Any] = {
            "command": task.command,
            "recipe": recipe,
            "data": task.data_digest,
            "tokenizer": task.tokenizer.to_json(),
            "reserve": task.settings.reserve,
            "processes": trainer.process_group.size,
        }
        self._provenance = provenance(sources=task.sources(), recipe=recipe, seed=task.recipe.seed)

    def save_if_due(self) -> None:
        """Saves the checkpoint when ``checkpoint_seconds`` have passed since the last time.

        Raises:
            CheckpointError: it cannot be written.
        """
        if time.monotonic() - self._saved_at >= self._task.recipe.checkpoint_seconds:
            self.save()

    def save(self, *, complete: bool = False, draft: RunDirectory | None = None) -> None:
        """Saves the checkpoint.

        Args:
            complete: whether the run has ended.
            draft: where to save it before the run begins.

        Raises:
            CheckpointError: it cannot be written.
        """
        self._saved_at = time.monotonic()
        checkpoint = self._trainer.checkpoint()
        tensors = {**checkpoint.tensors, **self._task.fixed_tensors()}
        values = {**self._header, **checkpoint.values, "complete": complete}
        save_checkpoint((draft or self._directory).checkpoint, Checkpoint(tensors, values))

    def save_best(self, evaluation: Evaluation) -> None:
        """Saves the artifact of the best weights, whose evaluation is given.

        Raises:
            OutputError: it cannot be written.
        """
        model = self._task.measure_best(evaluation, self._trainer.state)
        self._save_artifact(self._task.best_network(self._trainer.best_weights), model)

    def conclude(self, recipe: Recipe) -> MeasuredModel:
        """Measures the network as it is and saves it.

        Args:
            recipe: that repeats the run.

        Raises:
            OutputError: the artifact cannot be written.
        """
        self._provenance = with_recipe(self._provenance, recipe_values(recipe))
        round_to_storage(self._task.network, recipe.storage)
        model = self._task.measure_final(self._trainer.state, self._trainer.seconds_left())
        self._save_artifact(self._task.network, model)
        return model

    def _save_artifact(self, network: Network, model: MeasuredModel) -> None:
        task = self._task
        save_model(
            self._directory,
            network=network,
            tokenizer=task.tokenizer,
            name=task.recipe.name or "",
            provenance=self._provenance,
            metrics=model.metrics,
            storage=task.recipe.storage,
            **model.parts,
        )

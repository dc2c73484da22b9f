"""What a classifier run leaves on disk while it lasts: its checkpoint, and the model it keeps."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.artifact import Calibration
from model.manifest import WEIGHTS_FILE
from training.config.classifier import ClassifierRecipe
from training.config.options import recipe_values
from training.data.provenance import provenance, with_recipe
from training.evaluation.calibration import fit_temperature
from training.evaluation.classifier import Predictions, predict
from training.evaluation.out_of_scope import fit_out_of_scope
from training.readers.sources import expand_sources
from training.runs.checkpoint import Checkpoint, save_checkpoint, with_prefix
from training.runs.directory import RunDirectory
from training.runs.export import round_to_storage, save_model
from training.trainers.classifier import ClassifierRun
from training.trainers.classifier_setup import LINEAR, Prepared


class Keeper:
    """Saves the run and the model that it keeps."""

    def __init__(
        self, prepared: Prepared, directory: RunDirectory, training: ClassifierRun
    ) -> None:
        self._prepared = prepared
        self._directory = directory
        self._training = training
        self._saved = time.monotonic()
        recipe = prepared.recipe
        self._header: Mapping[str, Any] = {
            "command": "classifier",
            "recipe": recipe_values(recipe),
            "data": prepared.splits.digest,
            "tokenizer": prepared.tokenizer.to_json(),
            "processes": training.team.size,
        }
        self._provenance = provenance(
            sources=_sources(recipe),
            recipe=recipe_values(recipe),
            seed=recipe.seed,
        )

    def save_run_if_due(self) -> None:
        """Saves the run when the last time is long enough ago."""
        if time.monotonic() - self._saved >= self._prepared.recipe.checkpoint_seconds:
            self.save_run()

    def save_run(self, *, draft: RunDirectory | None = None) -> None:
        """Saves the run, into ``draft`` before it begins.

        Raises:
            CheckpointError: it cannot be written.
        """
        self._saved = time.monotonic()
        state, linear = self._training.checkpoint(), self._prepared.linear
        fitted = {} if linear is None else with_prefix(LINEAR, linear.state_dict())
        save_checkpoint(
            (draft or self._directory).checkpoint,
            Checkpoint({**state.tensors, **fitted}, {**self._header, **state.values}),
        )

    def save_kept(self, valid: Predictions) -> None:
        """The network as it is, with the weights that count so far; knows no test split."""
        self._save(valid, {})

    def conclude(self, recipe: ClassifierRecipe) -> tuple[dict[str, float], Predictions]:
        """Saves the network as it is with all metrics; also its answers on the last split.

        ``recipe`` is what repeats the run.
        """
        self._provenance = with_recipe(self._provenance, recipe_values(recipe))
        network, prepared = self._training.network, self._prepared
        round_to_storage(network, prepared.recipe.storage)
        valid = predict(network, prepared.valid)
        calibration = self._calibrate(valid)
        if not len(prepared.test):
            return self._save(valid, {}), valid.answered(calibration)
        test = predict(network, prepared.test)
        metrics = self._save(valid, test.metrics("test", calibration))
        return metrics, test.answered(calibration)

    def _calibrate(self, valid: Predictions) -> Calibration:
        recipe, inside = self._prepared.recipe, valid.in_scope
        temperature = fit_temperature(inside.logits_BC, inside.labels_B)
        if recipe.out_of_scope_label is None:
            return Calibration(temperature)
        beyond = fit_out_of_scope(
            valid.logits_BC,
            valid.labels_B,
            label=recipe.out_of_scope_label,
            share=recipe.out_of_scope_share,
        )
        return Calibration(temperature, beyond)

    def _save(self, valid: Predictions, further: Mapping[str, float]) -> dict[str, float]:
        prepared, at = self._prepared, self._training.position
        calibration = self._calibrate(valid)
        metrics = {
            **valid.metrics("validation", calibration),
            **further,
            "training_seconds": round(at.seconds, 1),
            "training_steps": at.steps,
            "training_epochs": round(at.epochs, 3),
        }
        save_model(
            self._directory,
            network=self._training.network,
            tokenizer=prepared.tokenizer,
            name=prepared.recipe.name or "",
            labels=prepared.splits.labels,
            calibration=calibration,
            provenance=self._provenance,
            metrics=metrics,
            storage=prepared.recipe.storage,
        )
        return metrics


def _sources(recipe: ClassifierRecipe) -> dict[str, list[str]]:
    """The files that a run reads, by what they are for."""
    splits = {split: expand_sources(getattr(recipe, split)) for split in ("train", "valid", "test")}
    if recipe.from_ is None:
        return splits
    return splits | {"from": [str(Path(os.path.expandvars(recipe.from_)) / WEIGHTS_FILE)]}

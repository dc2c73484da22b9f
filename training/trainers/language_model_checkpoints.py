"""What a language model run leaves on disk while it lasts: its checkpoint, and its best model."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

import torch

from model.networks import LanguageModel
from training.config.language_model import LanguageModelRecipe
from training.config.options import recipe_values
from training.data.corpus import unknown_share_of_stream
from training.data.provenance import provenance, with_recipe
from training.data.unknown_words import WARNING_SHARE
from training.evaluation.perplexity import Likelihood, likelihood, split_into_columns
from training.readers.sources import expand_sources
from training.runs.checkpoint import Checkpoint, save_checkpoint
from training.runs.directory import RunDirectory
from training.runs.export import round_to_storage, save_model
from training.trainers.language_model import LanguageModelRun
from training.trainers.language_model_setup import MARGIN, Limits, Prepared


class Keeper:
    """Saves a run and the best model it has found."""

    def __init__(
        self, prepared: Prepared, limits: Limits, directory: RunDirectory, run: LanguageModelRun
    ) -> None:
        self._prepared = prepared
        self._directory = directory
        self._run = run
        self._saved = time.monotonic()
        recipe = prepared.recipe
        self._header: dict[str, Any] = {
            "command": "lm",
            "recipe": recipe_values(recipe),
            "data": prepared.splits.digest,
            "tokenizer": prepared.tokenizer.to_json(),
            "limits": asdict(limits),
            "processes": run.team.size,
        }
        self._provenance = provenance(
            sources={"train": expand_sources(recipe.train), "valid": expand_sources(recipe.valid)},
            recipe=recipe_values(recipe),
            seed=recipe.seed,
        )

    def save_run_if_due(self) -> None:
        """Saves the run when the last time is long enough ago."""
        if time.monotonic() - self._saved >= self._prepared.recipe.checkpoint_seconds:
            self.save_run()

    def save_run(self, *, complete: bool = False, draft: RunDirectory | None = None) -> None:
        """Saves the run, ``complete`` if nothing is left to do; into ``draft`` before it begins.

        Raises:
            CheckpointError: it cannot be written.
        """
        self._saved = time.monotonic()
        state = self._run.checkpoint()
        values = {**self._header, **state.values, "complete": complete}
        file = (draft or self._directory).checkpoint
        save_checkpoint(file, Checkpoint(state.tensors, values))

    def save_best(self) -> None:
        """The best so far as an artifact, measured on a part of the validation split."""
        network = LanguageModel(self._run.network.architecture)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(self._run.best[name])
        count = self._run.settings.validation.count
        self._save(network, Likelihood(self._run.position.best_loss * count, count))

    def conclude(self, recipe: LanguageModelRecipe) -> dict[str, float]:
        """Measures the best in float32 on all of the validation split there is time for; saves it.

        The network is left with the best weights; ``recipe`` is what repeats the run. Returns the
        metrics.
        """
        self._provenance = with_recipe(self._provenance, recipe_values(recipe))
        self._run.put_best()
        round_to_storage(self._run.network, self._prepared.recipe.storage)
        # A run that was killed in here and resumed has no time left, and is measured all the same.
        left = max(self._run.seconds_left() - MARGIN / 2, self._run.settings.reserve)
        deadline = time.monotonic() + left
        reading = split_into_columns(self._prepared.valid)
        found = likelihood(self._run.network, reading, "float32", deadline=deadline)
        return self._save(self._run.network, found)

    def _save(self, network: LanguageModel, found: Likelihood) -> dict[str, float]:
        metrics = self._metrics(found)
        save_model(
            self._directory,
            network=network,
            tokenizer=self._prepared.tokenizer,
            name=self._prepared.recipe.name or "",
            provenance=self._provenance,
            metrics=metrics,
            storage=self._prepared.recipe.storage,
        )
        return metrics

    def _metrics(self, found: Likelihood) -> dict[str, float]:
        prepared, at = self._prepared, self._run.position
        nats_per_character = found.loss * len(prepared.valid) / prepared.valid_characters
        unknown = unknown_share_of_stream(prepared.valid, prepared.tokenizer)
        bits = {"validation_bits_per_character": nats_per_character / math.log(2)}
        values = {
            "validation_loss": found.loss,
            "validation_perplexity": found.perplexity,
            **(bits if unknown <= WARNING_SHARE else {}),
            "validation_unknown_share": unknown,
            "training_seconds": at.seconds,
            "training_epochs": at.epochs,
        }
        rounded = {name: round(value, 5) for name, value in values.items()}
        return rounded | {"validation_tokens": found.count, "training_steps": at.steps}

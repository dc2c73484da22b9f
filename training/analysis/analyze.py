"""Looks into networks, one after the other, and tells how far it is: the work behind the plots.

Small networks are looked into as they begin, trained briefly, and looked into again; an artifact is
looked into as it is. Knows neither files nor plots.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from model.artifact import Artifact
from model.networks import LanguageModel
from training.analysis.clipping_demo import clipping_courses, scale_to_radius
from training.analysis.corpus import Text
from training.analysis.effective_context import Context, effective_context
from training.analysis.excerpts import Excerpts
from training.analysis.gate_saturation import gate_saturation
from training.analysis.gradient_flow import Flow, gradient_flow
from training.analysis.networks import ADDITIVE, InspectedNetwork, build_small_network
from training.analysis.results import Findings, NetworkFindings
from training.analysis.short_training import (
    ShortTrainingSettings,
    TrainingCurve,
    mean_loss,
    train_short,
)
from training.config.gradients import GradientRecipe
from training.errors import DivergedError
from training.runs.progress import Progress

FLOW, CONTEXT = 60, 40  # what the two looks into a network cost, in steps of training, about
ROWS = 16  # excerpts whose logits are held at a time


@dataclass(slots=True)
class Work:
    """How much of the work is done, for the bar."""

    bar: Progress
    total: float
    done: float = 0.0

    def step(self, loss: float) -> None:
        """One step of training."""
        self.done += 1
        self.bar.update(self.done / self.total, figures={"loss": loss})

    def look(self, size: float) -> Callable[[float], None]:
        """To be told what share is done of a look of that size, which begins now."""
        begun = self.done

        def told(share: float) -> None:
            self.done = begun + size * share
            self.bar.update(self.done / self.total, figures={})

        return told


@dataclass(slots=True)
class Investigation:
    """One run of the command."""

    recipe: GradientRecipe
    text: Text
    work: Work
    excerpts: Excerpts = field(init=False)

    def __post_init__(self) -> None:
        generator = np.random.default_rng([self.recipe.seed, 2])
        source = self.text.excerpts_to_look_at(self.recipe)
        self.excerpts = source.draw(self.recipe.excerpts, generator)

    def small_network(self, name: str) -> NetworkFindings:
        """Before and after a short training."""
        recipe = self.recipe
        network = build_small_network(name, self.text.vocabulary, recipe)
        initial, initial_loss = self._flow(network), self._loss(network)
        settings = ShortTrainingSettings(
            steps=recipe.steps,
            batch=recipe.batch,
            learning_rate=recipe.learning_rate,
            clip_norm=recipe.clip_norm,
            seed=recipe.seed,
        )
        train_short(network, self.text.excerpts_to_train(recipe), settings, self.work.step)
        if not math.isfinite(self._loss(network)):
            raise DivergedError(
                f"{name}: the loss is no longer a number after training; give a lower "
                "--learning-rate"
            )
        return self._look(network, name, initial=initial, initial_loss=initial_loss)

    def artifact(self, artifact: Artifact, network: LanguageModel) -> NetworkFindings:
        """As it is."""
        return self._look(network, artifact.manifest.name, initial=None, initial_loss=None)

    def exploding(self) -> dict[str, TrainingCurve]:
        """An Elman network with recurrent weights that are too large, trained in three ways."""
        recipe = self.recipe
        network = build_small_network("elman", self.text.vocabulary, recipe)
        assert isinstance(network, LanguageModel)
        scale_to_radius(network, recipe.radius)
        settings = ShortTrainingSettings(
            steps=recipe.explosion_steps,
            batch=recipe.batch,
            learning_rate=recipe.explosion_rate,
            optimizer="sgd",
            clip_norm=recipe.clip_norm,
            clip_value=recipe.clip_value,
            seed=recipe.seed,
        )
        source = self.text.excerpts_to_train(recipe)
        return clipping_courses(network, source, settings, self.work.step)

    def _look(
        self,
        network: InspectedNetwork,
        name: str,
        *,
        initial: list[Flow] | None,
        initial_loss: float | None,
    ) -> NetworkFindings:
        model = network if isinstance(network, LanguageModel) else None
        found = NetworkFindings(
            name=name,
            cell=ADDITIVE if model is None else model.architecture.cell,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            initial_loss=initial_loss,
            loss=self._loss(network),
            initial=initial,
            flow=self._flow(network),
            gates=[] if model is None else gate_saturation(model, self._recent()),
            context=self._context(network),
        )
        self.work.bar.note(told(found))
        return found

    def _recent(self) -> Excerpts:
        """Twice the lags: a state that far back has a past of its own."""
        return self.excerpts.last(2 * self.recipe.lags)

    def _flow(self, network: InspectedNetwork) -> list[Flow]:
        told = self.work.look(FLOW)
        return gradient_flow(network, self._recent(), self.recipe.lags, told)

    @torch.no_grad()
    def _loss(self, network: InspectedNetwork) -> float:
        """A few rows at a time: the logits of a large vocabulary are many."""
        parts = self._recent().split(ROWS)
        losses = [mean_loss(network, part) * part.inputs_TB.shape[1] for part in parts]
        return float(torch.stack(losses).sum()) / self.recipe.excerpts

    def _context(self, network: InspectedNetwork) -> Context:
        excerpts = self.excerpts.last(self.recipe.longest_context + 1)
        return effective_context(network, excerpts, self.work.look(CONTEXT))


def investigate(
    recipe: GradientRecipe, text: Text, artifact: Artifact | None, bar: Progress
) -> Findings:
    """All of the recipe.

    Raises:
        DataError: the text is too short.
    """
    names = (*recipe.chosen_cells, ADDITIVE)
    total = FLOW + CONTEXT
    if artifact is None:
        total = len(names) * (2 * FLOW + recipe.steps + CONTEXT) + 3 * recipe.explosion_steps
    investigation = Investigation(recipe, text, Work(bar, total))
    if artifact is not None:
        assert isinstance(artifact.network, LanguageModel)
        found = investigation.artifact(artifact, artifact.network)
        return Findings(text=text.title, networks=[found])
    networks = [investigation.small_network(name) for name in names]
    return Findings(text=text.title, networks=networks, clipping=investigation.exploding())


def told(found: NetworkFindings) -> str:
    """A line about one network."""
    lag = min(20, len(found.flow[-1].hidden) - 1)
    before = "" if found.initial_loss is None else f"{found.initial_loss:.3f} -> "
    back = found.flow[-1].cell or found.flow[-1].hidden
    return (
        f"{found.name}: loss {before}{found.loss:.3f}; gradient {lag} steps back "
        f"{back[lag] / back[0]:.2g} of the last; context in use {found.context.needed(0.01)} tokens"
    )

"""The analysis behind `gradients`: networks one after the other, with progress for the user.

Small networks are analyzed at initialization, trained briefly, and analyzed again. An artifact is
analyzed without training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from model.artifact import Artifact
from model.networks import LanguageModel
from training.analysis.clipping_comparison import compare_clipping, scale_to_radius
from training.analysis.corpus import AnalysisCorpus
from training.analysis.effective_context import ContextLosses, effective_context
from training.analysis.excerpts import Excerpts
from training.analysis.gate_saturation import gate_saturation
from training.analysis.gradient_flow import GradientFlow, gradient_flow
from training.analysis.initial_flow import (
    InitialFlow,
    flow_by_initialization,
    flow_by_radius,
)
from training.analysis.networks import InspectedNetwork, build_small_network
from training.analysis.results import GradientResults, NetworkResults
from training.analysis.short_training import (
    ShortTrainingSettings,
    TrainingCurve,
    mean_loss,
    train_short,
)
from training.analysis.step_factors import StepFactor, has_step_factors, step_factors
from training.config.gradients import INITIALIZATIONS, GradientRecipe
from training.data.provenance import unique_names
from training.errors import DivergedError
from training.runs.progress import Progress

# Approximate cost of the two measurements, in training steps.
FLOW_COST, CONTEXT_COST = 60, 40
LOSS_ROWS = 16  # excerpts whose logits are in memory at a time


@dataclass(slots=True)
class WorkProgress:
    """Progress of the analysis on a bar, in units of training steps."""

    bar: Progress
    total: float
    done: float = 0.0

    def step(self, loss: float) -> None:
        """Reports one training step."""
        self.done += 1
        self.bar.update(self.done / self.total, figures={"loss": loss})

    def measurement(self, cost: float) -> Callable[[float], None]:
        """Starts a measurement; the returned function takes the share of it that is done."""
        done_before = self.done

        def report(share: float) -> None:
            self.done = done_before + cost * share
            self.bar.update(self.done / self.total, figures={})

        return report


@dataclass(slots=True)
class GradientAnalysis:
    """One run of the command: its recipe, its text and the excerpts for all measurements."""

    recipe: GradientRecipe
    corpus: AnalysisCorpus
    progress: WorkProgress
    excerpts: Excerpts = field(init=False)

    def __post_init__(self) -> None:
        generator = np.random.default_rng([self.recipe.seed, 2])
        source = self.corpus.held_out_excerpts(self.recipe)
        self.excerpts = source.draw(self.recipe.excerpts, generator)

    def small_network(self, name: str) -> NetworkResults:
        """Analyzes a small network before and after a short training.

        Raises:
            DivergedError: the loss after training is not finite.
        """
        recipe = self.recipe
        network = build_small_network(name, self.corpus.vocabulary, recipe)
        initial, initial_loss = self._flow(network), self._loss(network)
        settings = ShortTrainingSettings(
            steps=recipe.steps,
            batch=recipe.batch,
            learning_rate=recipe.learning_rate,
            clip_norm=recipe.clip_norm,
            seed=recipe.seed,
        )
        source = self.corpus.training_excerpts(recipe)
        curve = train_short(network, source, settings, self.progress.step)
        if not math.isfinite(self._loss(network)):
            raise DivergedError(
                f"{name}: the loss after training is not finite; give a lower --learning-rate"
            )
        return self._measure(
            network, name, initial=initial, initial_loss=initial_loss, training=curve
        )

    def artifact(self, name: str, network: LanguageModel) -> NetworkResults:
        """Analyzes the network of an artifact without training."""
        return self._measure(network, name, initial=None, initial_loss=None)

    def radii(self) -> list[InitialFlow]:
        """The flow through untrained Elman networks by spectral radius."""
        on_flow = self._on_flow()
        return flow_by_radius(self.recipe, self.corpus.vocabulary, self._flow_excerpts(), on_flow)

    def initializations(self) -> list[InitialFlow]:
        """The flow through untrained networks by initialization."""
        return flow_by_initialization(
            self.recipe, self.corpus.vocabulary, self._flow_excerpts(), self._on_flow()
        )

    def clipping(self) -> dict[str, TrainingCurve]:
        """Trains an Elman network with exploding gradients with three ways of clipping."""
        recipe = self.recipe
        network = build_small_network("elman", self.corpus.vocabulary, recipe)
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
        source = self.corpus.training_excerpts(recipe)
        curves = compare_clipping(network, source, settings, self.progress.step)
        self.progress.bar.note(clipping_summary(curves))
        return curves

    def _on_flow(self) -> Callable[[], None]:
        def report() -> None:
            self.progress.measurement(FLOW_COST)(1.0)

        return report

    def _measure(
        self,
        network: InspectedNetwork,
        name: str,
        *,
        initial: list[GradientFlow] | None,
        initial_loss: float | None,
        training: TrainingCurve | None = None,
    ) -> NetworkResults:
        model = network if isinstance(network, LanguageModel) else None
        results = NetworkResults(
            name=name,
            cell=name if model is None else model.architecture.cell,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            initial_loss=initial_loss,
            loss=self._loss(network),
            initial=initial,
            flow=self._flow(network),
            gates=[] if model is None else gate_saturation(model, self._flow_excerpts()),
            context=self._context(network),
            training=training,
            factors=self._factors(network),
        )
        self.progress.bar.note(summary(results))
        return results

    def _factors(self, network: InspectedNetwork) -> list[StepFactor]:
        if not isinstance(network, LanguageModel) or not has_step_factors(network):
            return []
        return step_factors(network, self._flow_excerpts(), self.corpus.tokenizer)

    def _flow_excerpts(self) -> Excerpts:
        """Excerpts of twice the lags: the state at the longest lag has a past as long as that."""
        return self.excerpts.last(2 * self.recipe.lags)

    def _flow(self, network: InspectedNetwork) -> list[GradientFlow]:
        on_progress = self.progress.measurement(FLOW_COST)
        return gradient_flow(network, self._flow_excerpts(), self.recipe.lags, on_progress)

    @torch.no_grad()
    def _loss(self, network: InspectedNetwork) -> float:
        """The mean loss in nats, in small batches: the logits of a large vocabulary are large."""
        batches = self._flow_excerpts().split(LOSS_ROWS)
        losses = [mean_loss(network, batch) * batch.inputs_TB.shape[1] for batch in batches]
        return float(torch.stack(losses).sum()) / self.recipe.excerpts

    def _context(self, network: InspectedNetwork) -> ContextLosses:
        excerpts = self.excerpts.last(self.recipe.longest_context + 1)
        return effective_context(network, excerpts, self.progress.measurement(CONTEXT_COST))


def analyze_cells(
    recipe: GradientRecipe, corpus: AnalysisCorpus, results: GradientResults, bar: Progress
) -> None:
    """Analyzes small networks of the recipe's cells; each finished part is added to ``results``.

    Raises:
        DataError: the documents are too short.
        DivergedError: a network diverged in training.
    """
    names = recipe.chosen_cells
    initial_flows = len(set(recipe.radii)) + len(INITIALIZATIONS) * len(recipe.initialized_cells)
    cost = 2 * FLOW_COST + recipe.steps + CONTEXT_COST
    total = len(names) * cost + initial_flows * FLOW_COST + 3 * recipe.explosion_steps
    analysis = GradientAnalysis(recipe, corpus, WorkProgress(bar, total))
    results.clip_norm, results.clip_value = recipe.clip_norm, recipe.clip_value
    for name in names:
        results.networks.append(analysis.small_network(name))
    results.radii += analysis.radii()
    results.initializations += analysis.initializations()
    results.clipping.update(analysis.clipping())
    results.complete = True


def analyze_artifacts(
    recipe: GradientRecipe,
    artifacts: Sequence[tuple[Artifact, AnalysisCorpus]],
    results: GradientResults,
    bar: Progress,
) -> None:
    """Analyzes artifacts, each with the text in its own tokens; adds them to ``results``.

    All are read from the same places of the text where their tokens are the same, in float64 for
    gradients and in float32 for losses, whatever the precision of their training.

    Raises:
        DataError: the documents are too short.
    """
    vocabularies = {corpus.tokenizer.to_json() for _, corpus in artifacts}
    results.tokens_differ = len(vocabularies) > 1
    progress = WorkProgress(bar, len(artifacts) * (FLOW_COST + CONTEXT_COST))
    names = unique_names([artifact.manifest.name for artifact, _ in artifacts])
    for name, (artifact, corpus) in zip(names, artifacts, strict=True):
        assert isinstance(artifact.network, LanguageModel)
        analysis = GradientAnalysis(recipe, corpus, progress)
        results.networks.append(analysis.artifact(name, artifact.network))
    results.complete = True


def summary(results: NetworkResults) -> str:
    """One line on a network."""
    flow, context = results.flow[-1], results.context
    lag = min(20, len(flow.hidden) - 1)
    norms = flow.cell or flow.hidden
    before = "" if results.initial_loss is None else f"{results.initial_loss:.3f} -> "
    best = context.best
    used = (
        f"effective context {context.needed(0.01)} tokens"
        if best is None
        else f"the loss rises with context: {context.losses[best]:.2f} given "
        f"{context.tokens[best]} tokens, {context.losses[-1]:.2f} given {context.tokens[-1]}"
    )
    return (
        f"{results.name}: loss {before}{results.loss:.3f}; gradient at lag {lag} "
        f"{norms[lag] / norms[0]:.2g} of that at lag 0; {used}"
    )


def clipping_summary(curves: Mapping[str, TrainingCurve]) -> str:
    """One line on the training runs with exploding gradients."""
    parts = [
        f"{name} {curve.losses[-1]:.2f} (at most {max(curve.losses):.2f})"
        if curve.losses
        else f"{name} not finite"
        for name, curve in curves.items()
    ]
    return f"exploding gradients, final loss by clipping: {', '.join(parts)}"

"""The language-model task: truncated backpropagation through time over lanes of a token stream.

A batch is a window of all lanes, and the hidden states are carried from one window to the next. The
kept weights are those with the lowest validation loss.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from model.networks import LanguageModel
from model.state import State
from training.config.language_model import LanguageModelRecipe
from training.data.bptt import BPTTEpoch, BPTTLoader, BPTTWindow
from training.data.corpus import TextPieces, unknown_share_of_stream
from training.data.token_stream import TokenStream
from training.data.unknown_words import WARNING_SHARE
from training.errors import RecipeError
from training.evaluation.language_model import count_words
from training.evaluation.metric_names import format_loss, format_perplexity
from training.evaluation.perplexity import (
    LARGEST_LOSS,
    Likelihood,
    likelihood,
    split_into_columns,
)
from training.optimization.losses import ActivationPenalties, next_token_loss
from training.optimization.parameter_groups import language_model_groups
from training.optimization.schedule import OneCycle
from training.optimization.weight_averaging import copy_weights
from training.readers.sources import expand_sources
from training.runs.checkpoint import Checkpoint
from training.runs.directory import RunDirectory
from training.runs.progress import Progress
from training.runtime.distributed import ProcessGroup
from training.runtime.precision import as_precision, autocast
from training.trainers.language_model_lines import comparison, split_summary
from training.trainers.language_model_setup import (
    SAVING_SECONDS,
    LanguageModelSetup,
    build_network,
    candidate_sampler,
    guessing_loss,
    measure_evaluation,
    prepare_setup,
)
from training.trainers.pretrained_model import weights_source
from training.trainers.state import TrainerState, training_settings
from training.trainers.task import Evaluation, MeasuredModel, StepLoss, Task, TrainingBatch

MOST_EXACT_TOKENS = 1_000_000  # of a split that is measured in float32 at the end
EVALUATION_BURN_IN = 64  # tokens, in the regular evaluations


@dataclass(frozen=True, slots=True)
class LanguageModelEvaluation(Evaluation):
    """The loss on the validation split.

    Args:
        is_partial: whether it is that of a part of the split.
    """

    is_partial: bool = False

    @property
    def score(self) -> float:
        return -self.loss

    def figures(self) -> dict[str, float]:
        return {"loss": self.loss, "perplexity": _perplexity(self.loss)}

    def summary(self) -> str:
        perplexity = format_perplexity(_perplexity(self.loss))
        split = "a part of validation" if self.is_partial else "validation"
        return f"{split}: loss {format_loss(self.loss)}, perplexity {perplexity}"


class LanguageModelTask(Task[BPTTWindow, LanguageModelEvaluation]):
    """A language model with its data.

    Args:
        setup: recipe and data.
        network: is trained in place.
        reserve: seconds of a time budget that are kept for the last evaluation.
    """

    command: ClassVar[str] = "lm"
    recipe_type: ClassVar[type[Any]] = LanguageModelRecipe
    concludes_once: ClassVar[bool] = True

    network: LanguageModel
    recipe: LanguageModelRecipe

    def __init__(
        self, setup: LanguageModelSetup, network: LanguageModel, reserve: float = 0.0
    ) -> None:
        recipe = setup.recipe
        self.network = network
        self.recipe = recipe
        self.tokenizer = setup.tokenizer
        self.data_digest = setup.splits.digest
        self.settings = training_settings(
            recipe,
            OneCycle(peak=recipe.learning_rate or 0.0, warm_up=recipe.warm_up),
            guessing_loss=guessing_loss(setup),
            reserve=reserve,
        )
        self._setup = setup
        self._precision = as_precision(recipe.precision)
        self._windows = BPTTLoader(
            stream=setup.train,
            columns=recipe.batch or 1,
            length=recipe.bptt or 1,
            restart=recipe.restart,
            seed=recipe.seed,
        )
        self._validation = split_into_columns(
            setup.valid, limit=recipe.evaluation_tokens, burn_in=EVALUATION_BURN_IN
        )
        self._sampler = candidate_sampler(setup)
        self._penalties = ActivationPenalties(
            activation=recipe.activation_penalty or 0.0, temporal=recipe.temporal_penalty or 0.0
        )
        self._epoch: BPTTEpoch
        self._carried: State | None = None

    @classmethod
    def prepare(
        cls,
        recipe: LanguageModelRecipe,
        directory: RunDirectory,
        checkpoint: Checkpoint | None,
        process_group: ProcessGroup,
    ) -> Self:
        setup = prepare_setup(recipe, directory, checkpoint, processes=process_group.size)
        torch.manual_seed(setup.recipe.seed)
        network = build_network(setup)
        if checkpoint is not None:
            return cls(setup, network, checkpoint.values["reserve"])
        setup, reserve = measure_evaluation(setup, network)
        return cls(setup, network, reserve)

    def describe(self) -> list[str]:
        setup, recipe, a = self._setup, self.recipe, self.network.architecture
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        data = (
            f"{len(setup.train):,} tokens to train on, {len(setup.valid):,} to validate on "
            f"({unknown_share_of_stream(setup.valid, self.tokenizer):.2%} unknown), "
            f"vocabulary {a.vocabulary:,} ({recipe.tokenizer})"
        )
        network = (
            f"{a.cell} {a.layers}x{a.hidden}, embedding {a.embedding}, "
            f"{'tied' if a.tied else 'untied'}, {parameters:,} parameters, {recipe.precision}, "
            f"softmax {recipe.softmax}, batch {recipe.batch}, bptt {recipe.bptt}, "
            f"learning rate {recipe.learning_rate}"
        )
        lines = [data, network, *self._plan()]
        if setup.speed is not None:
            lines.append(
                f"hidden {recipe.hidden} and dropout are chosen for {recipe.minutes:g} minutes at "
                f"{setup.speed:.2g} multiplications a second, measured now; recipe.toml keeps them"
            )
        if setup.splits.held_out:
            lines.append(f"no --valid: the last {recipe.holdout:.0%} of the text is held out")
        return lines

    def _plan(self) -> list[str]:
        """Lines about the work that the run will do."""
        setup, recipe, lines = self._setup, self.recipe, list[str]()
        if recipe.minutes is not None and setup.tokens_read is not None:
            epochs = setup.tokens_read / len(setup.train)
            lines.append(
                f"{recipe.minutes:g} minutes are enough for at most {setup.tokens_read:,.0f} "
                f"tokens at the speed measured now, which is {epochs:.2g} passes over the text"
            )
        counted, total = self._validation.count, len(setup.valid)
        if counted < total:
            lines.append(
                f"{recipe.evaluations} evaluations read {counted:,} of the {total:,} validation "
                "tokens each, spread over the text; the last one reads all"
            )
        return lines

    def sources(self) -> dict[str, list[str]]:
        recipe = self.recipe
        splits = {"train": recipe.train, "valid": recipe.valid, "test": recipe.test}
        sources = {
            name: expand_sources(files) for name, files in splits.items() if files or name != "test"
        }
        return sources | weights_source(recipe.from_)

    def check_first_step(self, progress: float, seconds: float) -> None:
        """Refuses a run whose budget is used up before its first step.

        Raises:
            RecipeError: ``progress`` is 1.
        """
        if progress >= 1.0:
            raise RecipeError(
                f"--minutes: {self.recipe.minutes:g} is over before the first step, "
                f"{seconds:.1f} seconds after the beginning; give more"
            )

    def parameter_groups(self) -> list[dict[str, Any]]:
        return language_model_groups(self.network, self.recipe.weight_decay or 0.0)

    def start_epoch(self, epoch: int) -> int:
        self._epoch = self._windows.epoch(epoch)
        return len(self._epoch)

    def batch(self, index: int, process_group: ProcessGroup) -> TrainingBatch[BPTTWindow]:
        window = self._epoch.window(index)
        length, lanes = window.inputs_TB.shape
        return TrainingBatch(
            window.select(process_group.share(lanes)),
            tokens=window.inputs_TB.numel(),
            epoch_share=window.epoch_share,
            length=length,
            usual_length=self._windows.length,
        )

    def loss(self, inputs: BPTTWindow) -> StepLoss:
        lanes = inputs.inputs_TB.shape[1]
        state = (self._carried or self.network.initial_state(lanes)).detach()
        with autocast(self._precision):
            encoded = self.network.encode(inputs.inputs_TB, state, inputs.starts_TB)
            loss = next_token_loss(self.network, encoded, inputs.targets_TB, self._sampler)
        self._carried = encoded.state.detach()
        return StepLoss(loss + self._penalties(encoded), {"loss": loss.detach()})

    def step_figures(self, smoothed: Mapping[str, float]) -> dict[str, float]:
        loss = smoothed["loss"]
        return {"loss": loss, "perplexity": _perplexity(loss)}

    def evaluate(self) -> LanguageModelEvaluation:
        measured = likelihood(self.network, self._validation, self._precision)
        return LanguageModelEvaluation(measured.loss, measured.count < len(self._setup.valid))

    def is_best(self, evaluation: LanguageModelEvaluation, best_score: float | None) -> bool:
        return best_score is None or evaluation.score > best_score

    def best_network(self, best_weights: Mapping[str, Tensor]) -> LanguageModel:
        # The best weights may be averaged ones. The initialization of a new network draws random
        # numbers; without it the same seed would give other weights than it has given so far.
        network = LanguageModel(self.network.architecture)
        copy_weights(network, best_weights)
        return network

    def measure_best(
        self, evaluation: LanguageModelEvaluation, state: TrainerState
    ) -> MeasuredModel:
        count = self._validation.count
        return self._measured(Likelihood(evaluation.loss * count, count), state)

    def measure_final(self, state: TrainerState, seconds_left: float) -> MeasuredModel:
        # A run that was killed in here and resumed has no time left, and is measured all the same.
        deadline = time.monotonic() + max(seconds_left - SAVING_SECONDS / 2, self.settings.reserve)
        test = self._setup.test
        left = deadline - time.monotonic()
        share = (
            1.0 if test is None else len(self._setup.valid) / (len(self._setup.valid) + len(test))
        )
        valid = self._read_whole("validation", self._setup.valid, time.monotonic() + share * left)
        measured = self._measured(valid, state)
        if test is None:
            return measured
        return self._with_test(measured, self._read_whole("test", test, deadline))

    def _read_whole(self, name: str, stream: TokenStream, deadline: float) -> Likelihood:
        """The likelihood of a split, with its progress; exact unless the split is large."""
        precision = "float32" if len(stream) <= MOST_EXACT_TOKENS else self._precision
        with Progress(f"measuring on {name}") as bar:
            return likelihood(
                self.network,
                split_into_columns(stream),
                precision,
                deadline=deadline,
                on_progress=lambda share: bar.update(share, figures={}),
            )

    def _with_test(self, model: MeasuredModel, test: Likelihood) -> MeasuredModel:
        """The measurements with those of the test split."""
        stream, splits = self._setup.test, self._setup.splits
        assert stream is not None
        assert splits.test is not None
        words = count_words(TextPieces(splits.test))
        per_word = math.exp(min(LARGEST_LOSS, test.loss * len(stream) / max(1, words)))
        unknown = unknown_share_of_stream(stream, self.tokenizer)
        values = {
            "test_loss": test.loss,
            "test_perplexity": test.perplexity,
            **({"test_word_perplexity": per_word} if unknown <= WARNING_SHARE else {}),
            "test_unknown_share": unknown,
        }
        metrics = {name: round(value, 5) for name, value in values.items()}
        line = split_summary("test", test, total=len(stream), word_perplexity=per_word)
        return MeasuredModel(
            {**model.metrics, **metrics, "test_tokens": test.count},
            summary=[*model.summary, line],
        )

    def split_carried_state(self, process_group: ProcessGroup) -> None:
        if self._carried is not None:
            lanes = process_group.share(self._carried.batch)
            self._carried = self._carried.gather(range(lanes.start, lanes.stop))

    def gather_carried_state(self, process_group: ProcessGroup) -> dict[str, Tensor]:
        if self._carried is None:
            return {}
        states = {"hidden": self._carried.hidden_LBH, "cell": self._carried.cell_LBH}
        gathered = {
            name: process_group.gather(state_LBH)
            for name, state_LBH in states.items()
            if state_LBH is not None
        }
        if not process_group.is_main:
            return {}
        return {name: torch.cat(shares, dim=1) for name, shares in gathered.items()}

    def restore_carried_state(self, tensors: Mapping[str, Tensor]) -> None:
        if "hidden" in tensors:
            self._carried = State(tensors["hidden"], tensors.get("cell"))

    def _measured(self, measured: Likelihood, state: TrainerState) -> MeasuredModel:
        setup = self._setup
        nats_per_character = measured.loss * len(setup.valid) / setup.valid_characters
        unknown = unknown_share_of_stream(setup.valid, self.tokenizer)
        bits = {"validation_bits_per_character": nats_per_character / math.log(2)}
        values = {
            "validation_loss": measured.loss,
            "validation_perplexity": measured.perplexity,
            **(bits if unknown <= WARNING_SHARE else {}),
            "validation_unknown_share": unknown,
            "training_seconds": state.seconds,
            "training_epochs": state.epochs,
        }
        metrics: dict[str, float] = {name: round(value, 5) for name, value in values.items()}
        metrics |= {"validation_tokens": measured.count, "training_steps": state.steps}
        return MeasuredModel(metrics, summary=self._summary(metrics))

    def _summary(self, metrics: Mapping[str, float]) -> list[str]:
        """Lines about the validation metrics, with a warning where the model has not learned."""
        total, count = len(self._setup.valid), int(metrics["validation_tokens"])
        rest = "" if count >= total else f" of {total:,}, since the minutes were over"
        figures = (
            f"validation: loss {format_loss(metrics['validation_loss'])}, "
            f"perplexity {format_perplexity(metrics['validation_perplexity'])}, "
            f"{_bits_per_character(metrics)}over {count:,} tokens{rest}"
        )
        lines = [figures, comparison(self.tokenizer)]
        loss_of_guessing = self.settings.guessing_loss
        if metrics["validation_loss"] < loss_of_guessing:
            return lines
        warning = (
            "warning: the model is no better than guessing each token by its frequency (loss "
            f"{format_loss(loss_of_guessing)}); train for longer, or with another --learning-rate"
        )
        return [*lines, warning]


def _bits_per_character(metrics: Mapping[str, float]) -> str:
    """A phrase; empty where too many words are unknown for the metric."""
    bits = metrics.get("validation_bits_per_character")
    if bits is None:
        return ""
    too_low = " (too low: the spelling of unknown words is not counted)"
    return f"{bits:.4f} bits per character{too_low * (metrics['validation_unknown_share'] > 0)}, "


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, LARGEST_LOSS))

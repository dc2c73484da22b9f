"""The trainer of both tasks: progress, state and checkpoints."""

import time
from pathlib import Path

import pytest
import torch

from tests.support.training.classifier_command import made_up, write
from tests.support.training.synthetic_corpus import text
from training.config.classifier import ClassifierRecipe
from training.config.language_model import LanguageModelRecipe
from training.runs.checkpoint import load_checkpoint, save_checkpoint
from training.runs.directory import RunDirectory
from training.runtime.distributed import ProcessGroup
from training.trainers.classifier import ClassifierTask
from training.trainers.language_model import LanguageModelTask
from training.trainers.trainer import Trainer

TASKS = ["lm", "classifier"]


def trainer_of(command: str, directory: Path) -> Trainer:
    """A trainer of a small network of either task, before its first step."""
    run = RunDirectory(directory / "m")
    if command == "lm":
        corpus = directory / "text.txt"
        corpus.write_text(text(200))
        recipe = LanguageModelRecipe(
            train=(str(corpus),), hidden=8, steps=40, batch=4, bptt=8, precision="float32"
        )
        return Trainer(
            LanguageModelTask.prepare(recipe, run, None, ProcessGroup()), time.monotonic()
        )
    write(directory / "train.jsonl", made_up(60, 0))
    classifier_recipe = ClassifierRecipe(
        train=(str(directory / "train.jsonl"),), hidden=8, epochs=9, linear_ngrams=0
    )
    task = ClassifierTask.prepare(classifier_recipe, run, None, ProcessGroup())
    return Trainer(task, time.monotonic())


def train(trainer: Trainer, steps: int) -> None:
    """Trains without an evaluation."""
    for _ in range(steps):
        trainer.step(trainer.progress())


@pytest.mark.parametrize("command", TASKS)
def test_a_restored_trainer_goes_on_bit_for_bit(tmp_path: Path, command: str) -> None:
    """State, best weights and the weights after further steps equal those of an unbroken run."""
    unbroken = trainer_of(command, tmp_path)
    train(unbroken, 3)
    unbroken.evaluate(unbroken.progress())
    train(unbroken, 2)
    save_checkpoint(tmp_path / "c", unbroken.checkpoint())
    resumed = trainer_of(command, tmp_path)
    resumed.restore(load_checkpoint(tmp_path / "c"))
    assert resumed.state == unbroken.state
    assert resumed.state.best_step == 3
    assert resumed.best_weights.keys() == dict(resumed.network.named_parameters()).keys()
    random = torch.get_rng_state()
    train(unbroken, 3)
    torch.set_rng_state(random)
    train(resumed, 3)
    for name, parameter in unbroken.network.named_parameters():
        assert torch.equal(parameter, resumed.network.get_parameter(name)), name


@pytest.mark.parametrize("command", TASKS)
def test_evaluated_weights_are_not_evaluated_again(tmp_path: Path, command: str) -> None:
    """A run that is resumed after an evaluation takes a step before the next one."""
    trainer = trainer_of(command, tmp_path)
    assert not trainer.is_evaluated()
    train(trainer, 1)
    assert trainer.evaluation_due(1.0)
    trainer.evaluate(0.1)
    assert not trainer.evaluation_due(1.0)
    save_checkpoint(tmp_path / "c", trainer.checkpoint())
    resumed = trainer_of(command, tmp_path)
    resumed.restore(load_checkpoint(tmp_path / "c"))
    assert not resumed.evaluation_due(1.0)
    train(resumed, 1)
    assert resumed.evaluation_due(1.0)


def test_the_best_language_model_may_be_an_average(tmp_path: Path) -> None:
    """Averaged weights are kept where their loss is lower; the network has its own afterwards."""
    trainer = trainer_of("lm", tmp_path)
    for _ in range(8):  # late in the run, when every fourth step joins the average
        trainer.step(0.9)
    result = trainer.evaluate(0.9)
    own = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    assert result.is_best
    differs = any(not torch.equal(own[name], best) for name, best in trainer.best_weights.items())
    assert differs == result.averaged
    trainer.load_best_weights()
    assert trainer.task.evaluate().loss == result.evaluation.loss

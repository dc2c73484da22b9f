"""The command line of training: subcommands, their options, and exit statuses.

Help is printed without torch, which is imported only when a command begins its work.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.system.standard_streams import FAILURE_STATUS
from training.config.classifier import ClassifierRecipe
from training.config.evaluation import AgreementRequest, EvaluationRequest
from training.config.gradients import GradientRecipe
from training.config.inspection import (
    DescribeRequest,
    ExportRequest,
    MemoryRequest,
    UnitsRequest,
    WordsRequest,
)
from training.config.language_model import LanguageModelRecipe
from training.config.options import add_options, given_options
from training.config.prediction import PredictionRequest
from training.config.race import RaceRequest
from training.readers.notices import shown_notices
from training.runtime.signals import signals_interrupt
from training.runtime.torchrun import process_count, process_rank, quieten_torch

BAD_INPUT_STATUS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCommand:
    """A subcommand.

    Args:
        name: its name on the command line.
        help: its help text.
        module: the module whose function ``run`` takes the options and returns the exit status.
        options: the dataclass of its options.
        trains: whether it trains a model, which can be resumed and run in several processes.
        recipe: whether its options can come from a recipe file; ``run`` takes an `Invocation` then.
    """

    name: str
    help: str
    module: str
    options: type[Any]
    trains: bool = False
    recipe: bool = False


TRAINING_COMMANDS = (
    TrainingCommand(
        name="lm",
        help="train a language model",
        module="training.commands.train_language_model",
        options=LanguageModelRecipe,
        trains=True,
        recipe=True,
    ),
    TrainingCommand(
        name="classifier",
        help="train a document classifier",
        module="training.commands.train_classifier",
        options=ClassifierRecipe,
        trains=True,
        recipe=True,
    ),
    TrainingCommand(
        name="evaluate",
        help="measure a model on data",
        module="training.commands.evaluate",
        options=EvaluationRequest,
    ),
    TrainingCommand(
        name="predict",
        help="apply a model to any number of documents",
        module="training.commands.predict",
        options=PredictionRequest,
    ),
    TrainingCommand(
        name="export",
        help="write a language model as an ONNX file",
        module="training.commands.export",
        options=ExportRequest,
    ),
    TrainingCommand(
        name="gradients",
        help="analyze and plot gradients through time",
        module="training.commands.gradients",
        options=GradientRecipe,
        recipe=True,
    ),
    TrainingCommand(
        name="agreement",
        help="measure a language model on minimal pairs of sentences",
        module="training.commands.agreement",
        options=AgreementRequest,
    ),
    TrainingCommand(
        name="words",
        help="show vectors of words, their nearest words and a map",
        module="training.commands.words",
        options=WordsRequest,
    ),
    TrainingCommand(
        name="describe",
        help="list the parameters of a model in the letters of the formulas",
        module="training.commands.describe",
        options=DescribeRequest,
    ),
    TrainingCommand(
        name="units",
        help="find units of a language model that follow something in a text",
        module="training.commands.units",
        options=UnitsRequest,
    ),
    TrainingCommand(
        name="memory",
        help="measure for how many tokens states and predictions of two texts differ",
        module="training.commands.memory",
        options=MemoryRequest,
    ),
    TrainingCommand(
        name="race",
        help="train cells side by side to recall a symbol after a number of steps",
        module="training.commands.race",
        options=RaceRequest,
    ),
)


def main(arguments: Sequence[str] | None = None, *, program: str = "python -m training") -> int:
    """Runs a subcommand and returns the exit status.

    0: success, 1: failure, 2: invalid input, 128 and the number of a signal: interrupted by it.
    Help and errors show ``program`` as the command line before the subcommand.
    """
    parsed = build_parser(program).parse_args(arguments)
    if process_count() > 1:
        if not parsed.subcommand.trains:
            return _refuse_several_processes()
        quieten_torch()
    with signals_interrupt():
        return _run(parsed)


def build_parser(program: str = "python -m training") -> argparse.ArgumentParser:
    """The parser of all subcommands; it sets ``subcommand`` to one of `TRAINING_COMMANDS`."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Train, evaluate and analyze recurrent models.",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for subcommand in TRAINING_COMMANDS:
        subparser = subparsers.add_parser(subcommand.name, help=subcommand.help)
        add_options(subparser, subcommand.options)
        if subcommand.recipe:
            _add_invocation_options(subparser, subcommand)
        subparser.set_defaults(subcommand=subcommand)
    return parser


def _add_invocation_options(parser: argparse.ArgumentParser, subcommand: TrainingCommand) -> None:
    product = "model" if subcommand.trains else "plots"
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help=f"directory of the {product}"
    )
    parser.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE",
        help="TOML file with options; those on the command line take precedence (default: none)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help=f"replace the {product} in DIR (default: no)"
    )
    if not subcommand.trains:
        parser.set_defaults(resume=False, tensorboard=None)
        return
    parser.add_argument(
        "--resume", action="store_true", help="continue the run in DIR.run (default: no)"
    )
    parser.add_argument(
        "--tensorboard",
        type=Path,
        metavar="DIR",
        help="directory of the curves for TensorBoard (default: none)",
    )


def _run(parsed: argparse.Namespace) -> int:
    """Runs the subcommand and prints its errors; the exit status."""
    from training.commands.errors import (  # noqa: PLC0415
        FAILURES,
        INVALID_INPUT_ERRORS,
        OUT_OF_MEMORY,
        describe_error,
        is_out_of_memory,
    )

    try:
        with shown_notices() if process_rank() == 0 else nullcontext():
            return _call(parsed.subcommand, parsed)
    except BrokenPipeError:  # the output has no reader; `run_command` ends silently
        raise
    except INVALID_INPUT_ERRORS as error:
        _print_error(f"error: {describe_error(error)}")
        return BAD_INPUT_STATUS
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _print_error(f"error: {OUT_OF_MEMORY}")
        return FAILURE_STATUS
    except FAILURES as error:
        _print_error(f"error: {describe_error(error)}")
        return FAILURE_STATUS
    except KeyboardInterrupt as error:
        _print_error("interrupted")
        return 128 + getattr(error, "number", signal.SIGINT)


def _call(subcommand: TrainingCommand, parsed: argparse.Namespace) -> int:
    options = given_options(subcommand.options, parsed)
    if subcommand.recipe:
        from training.runs.directory import Invocation  # noqa: PLC0415

        request: Any = Invocation(
            given=options,
            out=parsed.out,
            recipe_file=parsed.recipe,
            resume=parsed.resume,
            overwrite=parsed.overwrite,
            tensorboard=parsed.tensorboard,
        )
    else:
        request = subcommand.options(**options)
    status: int = importlib.import_module(subcommand.module).run(request)
    return status


def _refuse_several_processes() -> int:
    if process_rank() == 0:
        names = " and ".join(f"`{s.name}`" for s in TRAINING_COMMANDS if s.trains)
        _print_error(
            f"error: only {names} run in several processes; start this command without torchrun"
        )
    return BAD_INPUT_STATUS


def _print_error(text: str) -> None:
    with suppress(OSError):  # the stream is closed
        print(text, file=sys.stderr)

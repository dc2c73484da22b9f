"""The command line of training: which subcommands there are, and how their errors are told.

Only the parser and the recipes' fields are needed to print help; torch is loaded when a command
begins its work.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, get_args

from training.config.classifier import ClassifierRecipe
from training.config.gradients import GradientRecipe
from training.config.language_model import LanguageModelRecipe
from training.config.options import add_options, given_options
from training.readers.documents import Unit
from training.readers.notices import shown_notices
from training.runtime.signals import signals_interrupt
from training.runtime.torchrun import process_count, process_rank, quieten_torch

BAD_INPUT = 2
FAILED = 1
ONE_PROCESS = (
    "only `lm` and `classifier` run in several processes; start this command without torchrun"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status.

    0: done, 1: failed, 2: bad input, 128 and the number of the signal: interrupted.
    """
    parsed = build_parser().parse_args(arguments)
    if process_count() > 1:
        if parsed.command not in (_train_language_model, _train_classifier):
            return _refuse_several_processes()
        quieten_torch()
    with signals_interrupt():
        return _told(parsed.command, parsed)


def _told(command: Callable[[argparse.Namespace], int], parsed: argparse.Namespace) -> int:
    """Runs the command, and tells its errors; the exit status."""
    from training.commands.errors import (  # noqa: PLC0415
        BAD_INPUT_ERRORS,
        FAILURES,
        NO_MEMORY,
        describe,
        is_lack_of_memory,
    )

    try:
        with shown_notices() if process_rank() == 0 else nullcontext():
            return command(parsed)
    except BrokenPipeError:  # whoever reads the output has gone; `run_command` ends quietly
        raise
    except BAD_INPUT_ERRORS as error:
        _say(f"error: {describe(error)}")
        return BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        _say(f"error: {NO_MEMORY}")
        return FAILED
    except FAILURES as error:
        _say(f"error: {describe(error)}")
        return FAILED
    except KeyboardInterrupt as error:
        _say("interrupted")
        return 128 + getattr(error, "number", signal.SIGINT)


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads any more
        print(text, file=sys.stderr)


def _refuse_several_processes() -> int:
    if process_rank() == 0:
        print(f"error: {ONE_PROCESS}", file=sys.stderr)
    return BAD_INPUT


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Train models offline, measure them and look into them.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    language_model = commands.add_parser("lm", help="train a language model")
    add_options(language_model, LanguageModelRecipe)
    _add_run_options(language_model)
    language_model.set_defaults(command=_train_language_model)
    classifier = commands.add_parser("classifier", help="train a document classifier")
    add_options(classifier, ClassifierRecipe)
    _add_run_options(classifier)
    classifier.set_defaults(command=_train_classifier)
    evaluation = commands.add_parser("evaluate", help="measure an artifact on data")
    _add_evaluation_options(evaluation)
    evaluation.set_defaults(command=_evaluate)
    gradients = commands.add_parser("gradients", help="plot what gradients do in time")
    add_options(gradients, GradientRecipe)
    _add_output_options(gradients)
    gradients.set_defaults(command=_plot_gradients)
    agreement = commands.add_parser(
        "agreement", help="ask a language model for the grammatical one of two sentences"
    )
    _add_agreement_options(agreement)
    agreement.set_defaults(command=_agreement)
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the artifact")
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="options from a TOML file; those given win"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in DIR.run")
    parser.add_argument("--overwrite", action="store_true", help="begin anew over what is in DIR")
    parser.add_argument(
        "--tensorboard", type=Path, metavar="DIR", help="write the curves for TensorBoard, too"
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the plots")
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="options from a TOML file; those given win"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace earlier plots in DIR")
    parser.set_defaults(resume=False, tensorboard=None)


def _train_language_model(parsed: argparse.Namespace) -> int:
    return _run_training("training.commands.train_language_model", LanguageModelRecipe, parsed)


def _train_classifier(parsed: argparse.Namespace) -> int:
    return _run_training("training.commands.train_classifier", ClassifierRecipe, parsed)


def _plot_gradients(parsed: argparse.Namespace) -> int:
    return _run_training("training.commands.gradients", GradientRecipe, parsed)


def _add_evaluation_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT")
    parser.add_argument(
        "--data", nargs="+", required=True, help="files (also compressed), or hf:NAME[:SPLIT]"
    )
    parser.add_argument(
        "--unit", choices=get_args(Unit), default="file", help="what a document is in a text file"
    )
    parser.add_argument(
        "--column",
        "--text-column",
        dest="column",
        metavar="NAME",
        help="the column that holds the text, by name or by number from 1",
    )
    parser.add_argument(
        "--label-column", metavar="NAME", help="the column that holds the label, by name or number"
    )
    parser.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first row of .csv and .tsv files names the columns (as it looks)",
    )
    parser.add_argument(
        "--skip-empty",
        action="store_true",
        help="leave out records without a text or a label, and count them",
    )
    parser.add_argument(
        "--lanes", type=_positive, metavar="N", help="parts of the text read at once; 1: exact"
    )
    _add_page_options(parser)


def _add_agreement_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT")
    parser.add_argument(
        "--pairs",
        nargs="+",
        default=(),
        metavar="FILE",
        help="minimal pairs: .tsv (construction, condition, good, bad) or BLiMP's .jsonl; also "
        "compressed",
    )
    parser.add_argument(
        "--trace", metavar="SENTENCE", help="follow --words along the beginning of a sentence"
    )
    parser.add_argument("--words", metavar="WORD,WORD", help="as in --words are,is")
    parser.add_argument(
        "--before",
        default=".",
        metavar="TEXT",
        help='what is read before each sentence, not scored; "" for nothing (default: a full stop)',
    )
    parser.add_argument(
        "--capitalize",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="begin each sentence with a capital letter (default: yes)",
    )
    parser.add_argument(
        "--full-stop",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="end each sentence in a full stop (default: as it is)",
    )
    _add_page_options(parser)


def _add_page_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=_positive, metavar="N", help="processor threads")
    parser.add_argument(
        "--json", type=Path, dest="json_file", metavar="FILE", help="write the figures there, too"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write a page, plots and all figures there"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


def _evaluate(parsed: argparse.Namespace) -> int:
    from training.commands.evaluate import EvaluationRequest, run  # noqa: PLC0415

    names = [field.name for field in dataclasses.fields(EvaluationRequest)]
    values = {name: getattr(parsed, name) for name in names}
    return run(EvaluationRequest(**{**values, "data": tuple(parsed.data)}))


def _agreement(parsed: argparse.Namespace) -> int:
    from training.commands.agreement import AgreementRequest, run  # noqa: PLC0415

    names = [field.name for field in dataclasses.fields(AgreementRequest)]
    values = {name: getattr(parsed, name) for name in names}
    return run(AgreementRequest(**{**values, "pairs": tuple(parsed.pairs)}))


def _run_training(module: str, recipe: type[Any], parsed: argparse.Namespace) -> int:
    from training.runs.directory import Invocation  # noqa: PLC0415

    invocation = Invocation(
        given=given_options(recipe, parsed),
        out=parsed.out,
        recipe_file=parsed.recipe,
        resume=parsed.resume,
        overwrite=parsed.overwrite,
        tensorboard=parsed.tensorboard,
    )
    status: int = importlib.import_module(module).run(invocation)
    return status

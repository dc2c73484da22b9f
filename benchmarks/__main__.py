"""The door: `python -m benchmarks artifact | serve | training`.

Knows the options; what they mean is known by the modules that it calls.
"""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks import report
from benchmarks.artifact import save_untrained
from benchmarks.servers import CANDIDATES
from benchmarks.serving import Plan, measure_all, summarise
from benchmarks.training import TrainingPlan, compare, table
from model.architecture import CELLS, ArchitectureError, LanguageModelArchitecture
from model.errors import ArtifactError

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Reads the command line and does what it says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_artifact(commands.add_parser("artifact", help="make an untrained artifact of any size"))
    add_serve(commands.add_parser("serve", help="measure the service beside LitServe and FastAPI"))
    add_training(commands.add_parser("training", help="measure training beside a plain script"))
    args = parser.parse_args()
    try:
        args.run(args)
    except (ArchitectureError, ArtifactError) as error:
        raise SystemExit(f"error: {error}") from None


def add_size(parser: argparse.ArgumentParser) -> None:
    """The options that say how large a network is; the defaults are the medium size."""
    parser.add_argument("--cell", choices=CELLS, default="lstm")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--embedding", type=int, default=650)
    parser.add_argument("--hidden", type=int, default=650)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--projection", type=int, default=None)
    parser.add_argument("--tied", action="store_true")


def architecture_of(args: argparse.Namespace) -> LanguageModelArchitecture:
    """The network that the options describe; raises ArchitectureError naming the wrong one."""
    return LanguageModelArchitecture(
        cell=args.cell,
        vocabulary=args.vocabulary,
        embedding=args.embedding,
        hidden=args.hidden,
        layers=args.layers,
        projection=args.projection,
        tied=args.tied,
    )


def add_artifact(parser: argparse.ArgumentParser) -> None:
    """The options of `artifact`."""
    add_size(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="directory of the artifact")
    parser.set_defaults(run=make_artifact)


def make_artifact(args: argparse.Namespace) -> None:
    """Writes the artifact and says how to serve it."""
    save_untrained(args.out, architecture_of(args), seed=args.seed)
    print(f"{args.out}: serve it with  python -m service --models {args.out.parent}")


def add_serve(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`."""
    add_size(parser)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--max-tokens", type=int, default=96, help="tokens of each request")
    parser.add_argument("--prompt-words", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10, help="counted time of one measurement")
    parser.add_argument("--repeats", type=int, default=3)
    names = [candidate.name for candidate in CANDIDATES]
    parser.add_argument("--servers", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory of the results")
    parser.set_defaults(run=compare_servers)


def compare_servers(args: argparse.Namespace) -> None:
    """Measures every server in turn, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        artifact = Path(scratch) / "models" / "untrained"
        save_untrained(artifact, architecture_of(args))
        found = measure_all(
            Plan(
                artifact=artifact,
                candidates=[one for one in CANDIDATES if one.name in args.servers],
                streams=args.streams,
                max_tokens=args.max_tokens,
                prompt_words=args.prompt_words,
                seconds=args.seconds,
                repeats=args.repeats,
                logs=args.out,
            )
        )
    title = (
        f"{args.layers}x{args.hidden} {args.cell.upper()}, {args.vocabulary} words, "
        f"{args.max_tokens} tokens a request"
    )
    print("\n" + report.write(args.out, "serving", title, summarise(found), found))


def add_training(parser: argparse.ArgumentParser) -> None:
    """The options of `training`."""
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--valid", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--test", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--minutes", type=float, default=10, help="for each of the three runs")
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=None, help="at most so many words")
    parser.add_argument("--out", type=Path, default=RESULTS / "training")
    parser.add_argument("options", nargs="*", help="more for `python -m training lm`, after --")
    parser.set_defaults(run=compare_training)


def compare_training(args: argparse.Namespace) -> None:
    """Trains and measures all, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    names = ("train", "valid", "test", "minutes", "hidden", "layers", "vocabulary", "options")
    plan = TrainingPlan(out=args.out, **{name: getattr(args, name) for name in names})
    found = compare(plan)
    (args.out / "training.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    text = table(found, args.minutes)
    (args.out / "training.md").write_text(text, encoding="utf-8")
    print("\n" + text)


if __name__ == "__main__":
    main()

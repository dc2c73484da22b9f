"""``python -m training gradients``: what gradients do in time, as plots, a page and numbers.

Checks what it was asked for before it begins, has the networks looked into, and writes DIR:
index.html, numbers.json, recipe.toml and the plots as PNG.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from model.artifact import Artifact, load_artifact
from model.errors import ArtifactError
from model.networks import LanguageModel
from training.analysis.analyze import investigate
from training.analysis.corpus import read_text
from training.analysis.results import Findings
from training.config.gradients import GradientRecipe
from training.config.options import recipe_text, recipe_values
from training.data.corpus import expanded
from training.data.provenance import commit, library_versions, source_record
from training.errors import OutputError
from training.reports.gradients import page
from training.reports.gradients_plots import draw, require_matplotlib
from training.reports.html import write_files
from training.reports.output import require_writable
from training.runs.directory import Invocation
from training.runs.lock import only_user
from training.runs.progress import Progress
from training.runs.resolve import options_given
from training.runtime.threads import set_threads

HEADING = "What `python -m training gradients --recipe FILE --out DIR` needs to repeat these plots."
NUMBERS = "numbers.json"


def run(invocation: Invocation) -> int:
    """Looks, draws and writes; the exit status.

    Raises:
        ArtifactError, DataError, OutputError, RecipeError: each with a message for the person who
            asked.
    """
    recipe = GradientRecipe(**options_given(GradientRecipe, invocation))
    _check_directory(invocation.out, overwrite=invocation.overwrite)
    require_matplotlib()
    require_writable(invocation.out)
    with only_user(invocation.out):
        return _look(invocation, recipe)


def _look(invocation: Invocation, recipe: GradientRecipe) -> int:
    set_threads(recipe.threads)
    artifact = None if recipe.artifact is None else _language_model(Path(recipe.artifact))
    text = read_text(recipe, artifact.tokenizer if artifact else None)
    with Progress("gradients") as bar:
        findings = investigate(recipe, text, artifact, bar)
    _write(invocation.out, recipe, findings)
    print(f"the plots are in {invocation.out / 'index.html'}", file=sys.stderr)
    return 0


def _language_model(directory: Path) -> Artifact:
    artifact = load_artifact(directory)
    if not isinstance(artifact.network, LanguageModel):
        raise ArtifactError(directory, "is a classifier; give a language model to --artifact")
    return artifact


def _check_directory(out: Path, *, overwrite: bool) -> None:
    """Nobody's files are overwritten unasked; and better known now than after the work."""
    if not out.exists():
        above = next(parent for parent in out.parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise OutputError(f"{out}: cannot be made in {above}; choose another --out")
        return
    if not out.is_dir():
        raise OutputError(f"{out}: is a file; --out names a directory")
    if (out / NUMBERS).exists():
        if not overwrite:
            raise OutputError(
                f"{out}: holds plots already; choose another --out, or replace them with "
                "--overwrite"
            )
    elif any(out.iterdir()):
        raise OutputError(f"{out}: holds files but no plots; choose an empty or new directory")


def _write(out: Path, recipe: GradientRecipe, findings: Findings) -> None:
    plots = draw(findings)
    options = recipe_values(recipe)
    record = findings.record(
        data=[source_record(source) for source in expanded(options.pop("data"))],
        recipe={name: options[name] for name in options if name != "artifact"},
        commit=commit(),
        libraries=library_versions(),
    )
    numbers = json.dumps(record, indent=1, allow_nan=False) + "\n"
    files = {
        NUMBERS: numbers.encode(),
        "recipe.toml": recipe_text(recipe, heading=HEADING).encode(),
        "index.html": page(findings, plots).encode(),
    }
    write_files(out, files, plots)

"""``python -m training gradients``: gradients through time, gates and context of networks.

Writes a directory with index.html, the plots as PNG, numbers.json and recipe.toml.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from model.artifact import Artifact, load_artifact
from model.errors import ArtifactError
from model.networks import LanguageModel
from training.analysis.analyze import analyze_artifacts, analyze_cells
from training.analysis.corpus import read_corpus
from training.analysis.results import GradientResults
from training.config.gradients import GradientRecipe
from training.config.options import recipe_text, recipe_values
from training.data.provenance import git_commit, library_versions, source_record
from training.errors import OutputError
from training.readers.sources import expand_sources
from training.reports.gradients.page import gradients_sections, page_introduction, page_title
from training.reports.output import PAGE_FILE, require_writable, to_json, write_report
from training.reports.plotting import require_matplotlib
from training.runs.directory import Invocation
from training.runs.lock import exclusive_lock
from training.runs.progress import Progress
from training.runs.resolve import options_given
from training.runtime.threads import set_threads

RECIPE_HEADING = "Repeats these plots: `python -m training gradients --recipe FILE --out DIR`."
NUMBERS_FILE = "numbers.json"
RECIPE_FILE = "recipe.toml"


def run(invocation: Invocation) -> int:
    """Analyzes the networks and writes the report; returns the exit status.

    Raises:
        ArtifactError: the artifact cannot be loaded or is a classifier.
        DataError: the text cannot be read or its documents are too short.
        DivergedError: a network diverged in training.
        OutputError: ``out`` cannot be written.
        RecipeError: an option is not valid.
    """
    recipe = GradientRecipe(**options_given(GradientRecipe, invocation))
    _check_directory(invocation.out, overwrite=invocation.overwrite)
    require_matplotlib()
    require_writable(invocation.out)
    with exclusive_lock(invocation.out):
        return _analyze(invocation, recipe)


def _analyze(invocation: Invocation, recipe: GradientRecipe) -> int:
    set_threads(recipe.threads)
    artifacts = [_language_model(Path(directory)) for directory in recipe.artifact]
    corpora = [read_corpus(recipe, artifact.tokenizer) for artifact in artifacts]
    corpus = corpora[0] if corpora else read_corpus(recipe, None)
    results = GradientResults(text=corpus.title)
    try:
        with Progress("gradients") as bar:
            if artifacts:
                pairs = list(zip(artifacts, corpora, strict=True))
                analyze_artifacts(recipe, pairs, results, bar)
            else:
                analyze_cells(recipe, corpus, results, bar)
    finally:
        # A run that is stopped, or that a network ends which diverges, keeps its finished networks.
        if results.networks:
            _write(invocation.out, recipe, results)
            print(f"the plots are in {invocation.out / PAGE_FILE}", file=sys.stderr)
    return 0


def _language_model(directory: Path) -> Artifact:
    artifact = load_artifact(directory)
    if not isinstance(artifact.network, LanguageModel):
        raise ArtifactError(directory, "is a classifier; give a language model to --artifact")
    return artifact


def _check_directory(out: Path, *, overwrite: bool) -> None:
    """Refuses, before the work, a directory that cannot be made or holds files to keep."""
    if not out.exists():
        parent = next(parent for parent in out.parents if parent.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise OutputError(f"{out}: cannot be made in {parent}; choose another --out")
        return
    if not out.is_dir():
        raise OutputError(f"{out}: is a file; --out names a directory")
    if (out / NUMBERS_FILE).exists():
        if not overwrite:
            raise OutputError(
                f"{out}: holds plots already; choose another --out, or replace them with "
                "--overwrite"
            )
    elif any(out.iterdir()):
        raise OutputError(f"{out}: holds files but no plots; choose an empty or new directory")


def _write(out: Path, recipe: GradientRecipe, results: GradientResults) -> None:
    options = recipe_values(recipe)
    record = results.record(
        data=[source_record(source) for source in expand_sources(options.pop("data"))],
        recipe={name: options[name] for name in options if name != "artifact"},
        commit=git_commit(),
        libraries=library_versions(),
    )
    write_report(
        out,
        title=page_title(results),
        introduction=page_introduction(results),
        sections=gradients_sections(results),
        files={
            NUMBERS_FILE: to_json(record),
            RECIPE_FILE: recipe_text(recipe, heading=RECIPE_HEADING).encode(),
        },
    )

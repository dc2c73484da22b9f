"""``python -m training agreement``: accuracy of a language model on minimal pairs.

Scores minimal pairs, traces the probabilities of words along a sentence, and prints tables. Options
write JSON and a page with plots.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.artifact import Artifact, load_artifact
from model.errors import ArtifactError
from model.networks import LanguageModel
from training.config.evaluation import AgreementRequest
from training.data.provenance import source_name, unique_names
from training.errors import RecipeError
from training.evaluation.agreement_results import AgreementResults, evaluate_agreement
from training.evaluation.sentence_scores import SentenceForm, is_pretokenized
from training.evaluation.word_gradients import TracedGradients, trace_gradients
from training.evaluation.word_probabilities import WordProbabilities, trace_words
from training.readers.minimal_pairs import read_pairs
from training.readers.sources import expand_sources, is_unicode
from training.reports.agreement import (
    accuracy_table,
    agreement_sections,
    left_out_note,
    trace_table,
)
from training.reports.output import (
    PAGE_FILE,
    RESULTS_FILE,
    reserved_output,
    to_json,
    write_json,
    write_report,
)
from training.reports.plotting import require_matplotlib
from training.reports.word_gradients import word_gradients_section, word_gradients_table
from training.runs.progress import Progress
from training.runtime.threads import set_threads


def run(request: AgreementRequest) -> int:
    """Prints tables, writes the JSON file and the page; returns the exit status.

    Raises:
        ArtifactError: the artifact cannot be loaded or is a classifier.
        DataError: the pairs cannot be read.
        OutputError: ``out`` or ``json`` cannot be written.
        RecipeError: the options contradict each other.
    """
    words = _check(request)
    with reserved_output(request.out, request.json):
        return _evaluate(request, words)


def _evaluate(request: AgreementRequest, words: Sequence[str]) -> int:
    set_threads(request.threads)
    artifact, network = _language_model(request.artifact)
    form = _form(artifact, request)
    trace, gradients = None, list[TracedGradients]()
    if request.trace is not None:
        trace = trace_words(network, artifact.tokenizer, request.trace, words, form)
        gradients = _gradients(request, artifact, network, words[0])
    results = _pair_results(artifact, network, request, form) if request.pairs else None
    record = {
        "artifact": artifact.manifest.name,
        "pairs_files": list(request.pairs),
        "sentence_form": asdict(form),
        **({} if results is None else results.record()),
        **({} if trace is None else {"trace": trace.record()}),
        **({"gradients": [one.record() for one in gradients]} if gradients else {}),
    }
    if request.json is not None:
        write_json(request.json, record)
    if request.out is not None:
        _write_page(request, artifact, form, results, trace, gradients, record)
    print(f"{artifact.manifest.name}: {_form_note(form)}")
    _print(results, trace, gradients)
    return 0


def _check(request: AgreementRequest) -> list[str]:
    """The words of --words; refuses contradicting options before any file is read."""
    for option in ("trace", "words", "before"):
        text: str | None = getattr(request, option)
        if text is not None and not is_unicode(text):
            raise RecipeError(f"--{option}: is not valid text; give it in UTF-8")
    words = [word.strip() for word in (request.words or "").split(",") if word.strip()]
    if request.trace is not None and not words:
        raise RecipeError("--words: give the words to follow along --trace, as in --words are,is")
    if request.trace is None and request.words is not None:
        raise RecipeError("--words: needs a sentence to follow the words along; give --trace")
    if request.trace is None and request.compare:
        raise RecipeError("--compare: needs a sentence to compare the models on; give --trace")
    if not request.pairs and request.trace is None:
        raise RecipeError("--pairs: give files of minimal pairs, or a sentence to --trace")
    if request.out is not None:
        require_matplotlib("--out")
    return list(dict.fromkeys(words))


def _language_model(directory: Path) -> tuple[Artifact, LanguageModel]:
    artifact = load_artifact(directory)
    if not isinstance(artifact.network, LanguageModel):
        raise ArtifactError(directory, "is a classifier; agreement is measured on language models")
    return artifact, artifact.network


def _gradients(
    request: AgreementRequest, artifact: Artifact, network: LanguageModel, word: str
) -> list[TracedGradients]:
    """The gradient at each word of --trace, of the artifact and of those of --compare."""
    assert request.trace is not None
    models = [(artifact, network), *(_language_model(Path(name)) for name in request.compare)]
    names = unique_names([model.manifest.name for model, _ in models])
    return [
        trace_gradients(name, one, model.tokenizer, request.trace, word, _form(model, request))
        for name, (model, one) in zip(names, models, strict=True)
    ]


def _form(artifact: Artifact, request: AgreementRequest) -> SentenceForm:
    return SentenceForm(
        before=request.before,
        capitalize=request.capitalize,
        full_stop=request.full_stop,
        pretokenized=is_pretokenized(artifact.tokenizer),
    )


def _pair_results(
    artifact: Artifact, network: LanguageModel, request: AgreementRequest, form: SentenceForm
) -> AgreementResults:
    pairs = read_pairs(expand_sources(request.pairs))
    with Progress("agreement") as bar:
        return evaluate_agreement(
            network,
            artifact.tokenizer,
            pairs,
            form,
            on_progress=lambda share: bar.update(share, figures={}),
        )


def _form_note(form: SentenceForm) -> str:
    context = f"after {form.before!r}" if form.before else "without context"
    capital = "with a capital first letter" if form.capitalize else "with their own first letter"
    full_stop = ", with a full stop added" if form.full_stop else ""
    return f"sentences are read {context}, {capital}{full_stop}"


def _print(
    results: AgreementResults | None,
    trace: WordProbabilities | None,
    gradients: Sequence[TracedGradients],
) -> None:
    if results is not None:
        print("\n".join(accuracy_table(results).lines()))
        print(left_out_note(results))
    if trace is not None:
        print("\n".join(trace_table(trace).lines()))
        if trace.unknown:
            print(f"unknown words of the sentence: {', '.join(trace.unknown)}")
    if gradients:
        print(f"gradient of -log p({gradients[0].target.strip()}) at each word:")
        print("\n".join(word_gradients_table(gradients).lines()))


def _write_page(
    request: AgreementRequest,
    artifact: Artifact,
    form: SentenceForm,
    results: AgreementResults | None,
    trace: WordProbabilities | None,
    gradients: Sequence[TracedGradients],
    record: dict[str, Any],
) -> None:
    assert request.out is not None
    data = f"Pairs of {', '.join(map(source_name, request.pairs))}; " if request.pairs else ""
    introduction = f"{data}{_form_note(form)}."
    write_report(
        request.out,
        title=f"{artifact.manifest.name}: agreement",
        introduction=introduction[:1].upper() + introduction[1:],
        sections=[
            *agreement_sections(results, trace),
            *([word_gradients_section(gradients)] if gradients else []),
        ],
        files={RESULTS_FILE: to_json(record)},
    )
    print(f"page and plots are in {request.out / PAGE_FILE}", file=sys.stderr)

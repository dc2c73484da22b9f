"""lm-evaluation-harness, unchanged, on tasks given as local files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.artifact import Artifact, load_artifact
from model.networks import LanguageModel
from tests.support.service.foreign_programs import client_program, run_program
from tests.support.service.process import RunningService
from training.evaluation.sentence_scores import Continuation, score_continuations

PAIRS = (
    ("The keys are on the table .", "The keys runs on the table ."),
    ("A dog runs home", "A dog are home"),
    ("nobody knows why", "nobody are why"),
    ("small birds sing", "small birds knows"),
)
DOCUMENTS = ("The keys to the old cabinet are on the table .\nA dog", "birds sing about rivers")
TASKS = {
    "pairs": """
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
doc_to_choice: "{{[sentence_good, sentence_bad]}}"
target_delimiter: ""
metric_list: [{metric: acc}]
""",
    "documents": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: byte_perplexity}]
""",
    "continuations": """
output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: ""
generation_kwargs: {until: ["."], max_gen_toks: 8}
metric_list: [{metric: exact_match}]
""",
}


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A directory with the tasks and their data."""
    rows: dict[str, list[dict[str, str]]] = {
        "pairs": [{"sentence_good": good, "sentence_bad": bad} for good, bad in PAIRS],
        "documents": [{"text": text} for text in DOCUMENTS],
        "continuations": [{"text": text} for text in DOCUMENTS],
    }
    for name, lines in rows.items():
        data = tmp_path / f"{name}.jsonl"
        data.write_text("".join(json.dumps(line) + "\n" for line in lines))
        head = f"task: {name}\ndataset_path: json\ntest_split: test\nnum_fewshot: 0\n"
        files = f"dataset_kwargs: {{data_files: {{test: {data}}}}}"
        (tmp_path / f"{name}.yaml").write_text(f"{head}{files}{TASKS[name]}")
    return tmp_path


@pytest.fixture(params=["0", "67108864"], ids=["cache off", "cache on"])
def exact_service(models: Path, request: pytest.FixtureRequest) -> Iterator[RunningService]:
    """A service in float32, with and without a prefix cache."""
    client_program("lm_eval")
    options = ("--precision", "float32", "--state-cache-bytes", request.param)
    with RunningService(models, *options, "--default-language-model", "words") as running:
        yield running


def evaluated(
    service: RunningService, tasks: Path, *options: str, more: str = ""
) -> dict[str, list[Any]]:
    """The answers for each sample, by task, after a run of the program."""
    url = f"http://127.0.0.1:{service.port}/v1/completions"
    out = tasks / "out"
    run_program(
        client_program("lm_eval"),
        *("run", "--model", "local-completions", "--tasks", ",".join(TASKS)),
        *("--model_args", f"model=words,base_url={url}{more}", "--include_path", str(tasks)),
        *("--output_path", str(out), "--log_samples", *options),
        home=tasks,
    )
    samples: dict[str, list[Any]] = {}
    for name in TASKS:
        (file,) = out.rglob(f"samples_{name}_*.jsonl")
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        samples[name] = [line["resps"] for line in sorted(lines, key=lambda line: line["doc_id"])]
        file.unlink()
    return samples


def expected_scores(artifact: Artifact, sentences: list[str]) -> list[float]:
    """The log-probabilities that training computes."""
    network, tokenizer = artifact.network, artifact.tokenizer
    assert isinstance(network, LanguageModel)
    continuations = [Continuation(tokenizer.encode(sentence), 0) for sentence in sentences]
    return score_continuations(network, continuations, tokenizer.end)


@pytest.mark.timeout(240)
def test_scores_are_those_of_training(
    exact_service: RunningService, models: Path, tasks: Path
) -> None:
    """Pairs and documents have the scores of `training agreement` and `evaluate`, one by one and in
    batches, with the tokenizer of the service and with that of the artifact.
    """
    artifact = load_artifact(models / "words")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "[END]"}
    (tasks / "tokenizer").mkdir()
    (tasks / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(config))
    file = (models / "words" / "tokenizer.json").read_text()
    (tasks / "tokenizer" / "tokenizer.json").write_text(file)
    local = f",tokenizer_backend=huggingface,tokenizer={tasks / 'tokenizer'},num_concurrent=3"
    runs = [
        evaluated(exact_service, tasks),
        evaluated(exact_service, tasks, "--batch_size", "4", more=local),
    ]
    sentences = [sentence for pair in PAIRS for sentence in pair]
    of_pairs = expected_scores(artifact, sentences)
    of_documents = expected_scores(artifact, list(DOCUMENTS))
    for samples in runs:
        scores = [float(answer[0][0]) for pair in samples["pairs"] for answer in pair]
        assert scores == pytest.approx(of_pairs, abs=1e-3)
        rolling = [float(answer[0][0]) for answer in samples["documents"]]
        assert rolling == pytest.approx(of_documents, abs=1e-3)
    texts = [
        exact_service.ask(
            "/v1/completions",
            prompt=artifact.tokenizer.encode(prompt),
            max_tokens=8,
            temperature=0,
            stop=[".", "[END]"],
        )["choices"][0]["text"]
        for prompt in DOCUMENTS
    ]
    for samples in runs:
        assert [answer[0][0] for answer in samples["continuations"]] == texts

"""A model applied to a chunk of texts, with the kernel of the service.

Texts are sorted by their length, so that those of a batch end together. The result of a text does
not depend on the others: it is that of the service to the last bit, with the same kernel and
precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from model.artifact import Artifact, load_artifact, weights_of
from model.calibration import UNCALIBRATED, log_probabilities
from model.networks import Classifier, LanguageModel
from service.kernel.api.interface import FloatArray, Kernel, LogitSlices, RowWork, Sampling
from service.kernel.factory import make_classifier_kernel, make_kernel, resolve_kernel
from training.config.prediction import Answer, PredictionRequest
from training.prediction.batches import Fields, encoded, padded_batches, row_batches

CLASSIFIER_TOKENS = 4096  # of a document; the rest is not read, as in the service
SLICE_TOKENS = 2048
ROWS = 64  # documents of a language model that are read side by side
STEPS = 256  # of one call of the kernel
NOT_FINITE = "the model's numbers are not finite"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorSettings:
    """What determines the results, as the command's options; see `training.config.prediction`."""

    artifact: Path
    precision: Literal["int8", "float32"]
    top: int | None
    answer: Answer
    end: bool
    max_tokens: int
    sampling: Sampling


def settings_of(request: PredictionRequest) -> PredictorSettings:
    """The settings among the options of the command."""
    sampling = Sampling(
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        min_p=request.min_p,
        seed=request.seed,
        logprob=False,
    )
    return PredictorSettings(
        artifact=request.artifact,
        precision=request.precision,
        top=request.top,
        answer=request.answer,
        end=request.end,
        max_tokens=request.max_tokens,
        sampling=sampling,
    )


def columns_of(artifact: Artifact, settings: PredictorSettings) -> tuple[str, ...]:
    """The names of the fields of a result, without "error"."""
    if isinstance(artifact.network, Classifier):
        scores = () if settings.top is None else ("scores",)
        labels = () if artifact.manifest.thresholds is None else ("labels",)
        return (*labels, "label", "confidence", *scores, "truncated")
    if settings.answer == "score":
        return ("logprob", "perplexity", "bits_per_byte", "tokens", "unknown_tokens")
    return ("text", "finish_reason")


class Predictor(Protocol):
    """Results of texts. A text without a result has the field "error" and no other."""

    def predict(self, texts: Sequence[str], first: int) -> list[Fields]:
        """The fields of each text, in order. ``first``: the number of the first one, from 0."""


def make_predictor(settings: PredictorSettings) -> Predictor:
    """The predictor of an artifact.

    Raises:
        ArtifactError: the artifact cannot be loaded.
    """
    artifact = load_artifact(settings.artifact)
    if isinstance(artifact.network, Classifier):
        return LabelPredictor(artifact, artifact.network, settings)
    if settings.answer == "score":
        return ScorePredictor(artifact, artifact.network, settings)
    return ContinuationPredictor(artifact, artifact.network, settings)


class LabelPredictor:
    """Labels and confidences of a classifier; the lists of labels of a multi-label one."""

    def __init__(
        self, artifact: Artifact, network: Classifier, settings: PredictorSettings
    ) -> None:
        self._tokenizer = artifact.tokenizer
        self._labels = artifact.manifest.answers
        self._calibration = artifact.manifest.calibration or UNCALIBRATED
        self._top = settings.top
        self._kernel = make_classifier_kernel(
            weights_of(network),
            kernel=resolve_kernel("auto"),
            precision=settings.precision,
            threads=1,
            slice_tokens=SLICE_TOKENS,
        )

    def predict(self, texts: Sequence[str], first: int) -> list[Fields]:  # noqa: ARG002
        """The label, its confidence, and with ``top`` the likeliest labels; of a multi-label model
        first the labels that reach their threshold, likeliest first.
        """
        results, tokens = encoded(self._tokenizer, texts, CLASSIFIER_TOKENS)
        for indices in padded_batches(tokens, results):
            documents = [
                tokens[index][:CLASSIFIER_TOKENS] or [self._tokenizer.end] for index in indices
            ]
            logits_BC = _result_of(self._kernel.classify(documents))
            probabilities_BA = np.exp(log_probabilities(logits_BC, self._calibration))
            for index, probabilities_A in zip(indices, probabilities_BA.tolist(), strict=True):
                results[index] = self._fields(probabilities_A)
                if len(tokens[index]) > CLASSIFIER_TOKENS:
                    results[index]["truncated"] = True
        return results

    def _fields(self, probabilities_A: list[float]) -> Fields:
        if not math.isfinite(sum(probabilities_A)):
            return {"error": NOT_FINITE}
        best = max(range(len(probabilities_A)), key=probabilities_A.__getitem__)
        thresholds, order = self._calibration.thresholds, list[int]()
        if thresholds is not None or self._top is not None:
            order = sorted(range(len(probabilities_A)), key=lambda i: -probabilities_A[i])
        fields: Fields = {}
        if thresholds is not None:
            fields["labels"] = [
                self._labels[index]
                for index in order
                if probabilities_A[index] >= thresholds[index]
            ]
        fields |= {
            "label": self._labels[best],
            "confidence": round(probabilities_A[best], 6),
        }
        if self._top is not None:
            fields["scores"] = {
                self._labels[index]: round(probabilities_A[index], 6)
                for index in order[: self._top]
            }
        return fields


class ScorePredictor:
    """Log-probabilities of documents."""

    def __init__(
        self, artifact: Artifact, network: LanguageModel, settings: PredictorSettings
    ) -> None:
        self._tokenizer = artifact.tokenizer
        self._end = settings.end
        self._kernel = _row_kernel(artifact, network, settings)

    def predict(self, texts: Sequence[str], first: int) -> list[Fields]:  # noqa: ARG002
        """The fields of /score, without the tokens."""
        results, tokens = encoded(self._tokenizer, texts)
        closing = [self._tokenizer.end] if self._end else []
        for indices in row_batches(tokens, results, ROWS):
            documents = [[self._tokenizer.end, *tokens[index], *closing] for index in indices]
            for index, logprob in zip(indices, self._logprobs(documents), strict=True):
                results[index] = self._fields(texts[index], tokens[index], logprob)
        return results

    def _logprobs(self, documents: Sequence[Sequence[int]]) -> list[float]:
        """The log-probability of each document after its first token; NaN if it has none."""
        sums, read = [0.0] * len(documents), [0] * len(documents)
        for row in range(len(documents)):
            self._kernel.open(row)
        rows = list(range(len(documents)))
        while rows:
            work = [
                RowWork(row=row, feed=documents[row][read[row] : read[row] + STEPS + 1], score=True)
                for row in rows
            ]
            steps = min(STEPS, max(len(item.feed) - 1 for item in work))
            for row, result in zip(rows, self._kernel.run(work, steps), strict=True):
                read[row] += len(result.scored)
                sums[row] += sum(scored.logprob for scored in result.scored)
                if result.failed:
                    sums[row] = math.nan
            rows = [
                row
                for row in rows
                if read[row] < len(documents[row]) - 1 and not math.isnan(sums[row])
            ]
        return sums

    def _fields(self, text: str, tokens: Sequence[int], logprob: float) -> Fields:
        if not math.isfinite(logprob):
            return {"error": NOT_FINITE}
        count = len(tokens) + self._end
        unknown = self._tokenizer.unknown
        return {
            "logprob": round(logprob, 5),
            "perplexity": float(f"{math.exp(min(-logprob / count, 700)):.6g}"),
            "bits_per_byte": round(-logprob / math.log(2) / len(text.encode()), 6),
            "tokens": len(tokens),
            "unknown_tokens": 0 if unknown is None else tokens.count(unknown),
        }


class ContinuationPredictor:
    """Generated continuations of documents."""

    def __init__(
        self, artifact: Artifact, network: LanguageModel, settings: PredictorSettings
    ) -> None:
        self._tokenizer = artifact.tokenizer
        self._settings = settings
        self._kernel = _row_kernel(artifact, network, settings)

    def predict(self, texts: Sequence[str], first: int) -> list[Fields]:
        """The text that /generate returns for the prompt with the seed plus its number."""
        results, tokens = encoded(self._tokenizer, texts)
        for indices in row_batches(tokens, results, ROWS):
            generated = self._generate(
                [[self._tokenizer.end, *tokens[index]] for index in indices],
                [self._settings.sampling.seed + first + index for index in indices],
            )
            for index, ids in zip(indices, generated, strict=True):
                results[index] = self._fields(ids)
        return results

    def _generate(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]
    ) -> list[list[int] | None]:
        """The sampled tokens of each prompt; None for numbers that are not finite."""
        generated: list[list[int] | None] = [[] for _ in prompts]
        feeds = [list(prompt) for prompt in prompts]
        sampled = [replace(self._settings.sampling, seed=seed) for seed in seeds]
        for row in range(len(prompts)):
            self._kernel.open(row)
        rows = list(range(len(prompts)))
        while rows:
            work = [self._work(row, feeds[row], generated[row], sampled[row]) for row in rows]
            steps = min(STEPS, max(len(item.feed) - 1 + item.sample for item in work))
            for row, result in zip(rows, self._kernel.run(work, max(1, steps)), strict=True):
                ids = generated[row]
                if result.failed or ids is None:
                    generated[row] = None
                    continue
                ids += result.tokens
                feeds[row] = [ids[-1]] if result.tokens else feeds[row][result.read :]
            rows = [row for row in rows if self._goes_on(generated[row])]
        return generated

    def _work(
        self, row: int, feed: Sequence[int], ids: list[int] | None, sampling: Sampling
    ) -> RowWork:
        count = len(ids or ())
        left = self._settings.max_tokens - count
        whole = len(feed) <= STEPS + 1
        return RowWork(
            row=row,
            feed=feed[: STEPS + 1],
            sample=left if whole else 0,
            sampling=sampling,
            position=count,
        )

    def _goes_on(self, ids: list[int] | None) -> bool:
        return (
            ids is not None
            and len(ids) < self._settings.max_tokens
            and ids[-1:] != [self._tokenizer.end]
        )

    def _fields(self, ids: list[int] | None) -> Fields:
        if ids is None:
            return {"error": NOT_FINITE}
        ended = ids[-1:] == [self._tokenizer.end]
        return {
            "text": self._tokenizer.decode(ids),
            "finish_reason": "end" if ended else "length",
        }


def _row_kernel(artifact: Artifact, network: LanguageModel, settings: PredictorSettings) -> Kernel:
    tokenizer = artifact.tokenizer
    return make_kernel(
        weights_of(network),
        kernel=resolve_kernel("auto"),
        precision=settings.precision,
        threads=1,
        capacity=ROWS,
        end=tokenizer.end,
        suppressed=tokenizer.suppressed,
    )


def _result_of(slices: LogitSlices) -> FloatArray:
    """The logits of a batch, without a pause between its slices."""
    while True:
        try:
            next(slices)
        except StopIteration as finished:
            logits_BC: FloatArray = finished.value
            return logits_BC

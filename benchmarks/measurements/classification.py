"""Documents per second of the service and of a plain loop, with one text in each request.

The servers take turns within each repeat. The documents are random words of the model's vocabulary
with the lengths of sentences and short reviews.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.load_client import WARM_UP_ROUNDS, WARM_UP_SECONDS, Load, run_load
from benchmarks.harness.servers import CLASSIFIER_SERVERS, ServerSpec, start_server
from model.tokenization.tokenizer import Tokenizer

MIN_WORDS, MAX_WORDS = 4, 60  # words
DOCUMENT_MARK = "HTTP/1.1 200"  # occurs once in the response to each document
KEY_FIELDS = ("server", "clients")


@dataclass(frozen=True)
class ClassificationPlan:
    """Artifact, documents, numbers of clients, and the duration of each measurement."""

    artifact: Path
    documents: Sequence[str]
    clients: Sequence[int]
    seconds: float
    repeats: int
    logs: Path

    def load(self, clients: int, *, warm_up: bool = False) -> Load:
        """The load of a number of concurrent clients."""
        bodies = [{"text": text} for text in self.documents]
        if warm_up:
            return Load(bodies, clients, WARM_UP_SECONDS, rounds=WARM_UP_ROUNDS, mark=DOCUMENT_MARK)
        return Load(bodies, clients, self.seconds, mark=DOCUMENT_MARK)


@dataclass(frozen=True, kw_only=True)
class ClassificationMeasurement:
    """One server with a number of clients. Times in milliseconds; medians in a summary."""

    server: str
    clients: int
    documents_per_second: float
    answer_p50: float
    answer_p99: float
    processor_seconds_per_1000: float
    memory_megabytes: float
    generator_processor_share: float


def synthetic_documents(tokenizer: Tokenizer, count: int, *, seed: int = 0) -> list[str]:
    """Texts of random words of the vocabulary, with uniformly distributed lengths."""
    words = [text for word in tokenizer.vocabulary() if (text := word.strip()).isalpha()]
    generator = random.Random(seed)
    lengths = [MIN_WORDS + index % (MAX_WORDS - MIN_WORDS + 1) for index in range(count)]
    generator.shuffle(lengths)
    return [" ".join(generator.choices(words, k=length)) for length in lengths]


def measure_all(plan: ClassificationPlan) -> list[ClassificationMeasurement]:
    """Measures every server with every number of clients, in all repeats."""
    measurements = []
    for repeat in range(plan.repeats):
        for clients in plan.clients:
            for spec in CLASSIFIER_SERVERS:
                measurement = measure(plan, spec, clients)
                measurements.append(measurement)
                print(
                    f"{repeat + 1}/{plan.repeats}  {spec.name:16} {clients:3} clients "
                    f"{measurement.documents_per_second:8.0f} documents/s",
                    flush=True,
                )
    return measurements


def measure(plan: ClassificationPlan, spec: ServerSpec, clients: int) -> ClassificationMeasurement:
    """Starts a server, warms it up, measures it under load, and ends it."""
    log = plan.logs / f"{spec.name.replace(' ', '-').lower()}-classifier.log"
    with start_server(spec, {"artifact": plan.artifact}, log) as server:
        run_load(spec, server, plan.load(clients, warm_up=True))
        result = run_load(spec, server, plan.load(clients))
        memory = server.memory_bytes()
    p50, p99 = result.first_tokens
    return ClassificationMeasurement(
        server=spec.name,
        clients=clients,
        documents_per_second=result.per_second,
        answer_p50=1e3 * p50,
        answer_p99=1e3 * p99,
        processor_seconds_per_1000=result.processor_seconds_per_1000,
        memory_megabytes=memory / 1e6,
        generator_processor_share=result.own_processor_share,
    )

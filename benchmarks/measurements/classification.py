"""Measures documents per second of the service and of a plain loop, one text in each request.

The servers take turns within each repeat. The documents are made of words that the model knows, as
long as sentences and short reviews are. Knows no tables.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from benchmarks.harness.load_client import WARM_UP_ROUNDS, WARM_UP_SECONDS, Load, put_on
from benchmarks.harness.servers import CLASSIFIERS, Candidate, started
from benchmarks.harness.statistics import grouped, median
from model.tokenization.tokenizer import Tokenizer

SHORTEST, LONGEST = 4, 60  # words
ANSWER = "HTTP/1.1 200"  # counted once for each document
IDENTITY = ("server", "clients")


@dataclass(frozen=True)
class ClassifyPlan:
    """What is measured, and for how long."""

    artifact: Path
    documents: Sequence[str]
    clients: Sequence[int]
    seconds: float
    repeats: int
    logs: Path

    def load(self, clients: int, *, warm_up: bool = False) -> Load:
        """So many clients, each asking again when it has its answer."""
        bodies = [{"text": text} for text in self.documents]
        if warm_up:
            return Load(bodies, clients, WARM_UP_SECONDS, rounds=WARM_UP_ROUNDS, mark=ANSWER)
        return Load(bodies, clients, self.seconds, mark=ANSWER)


@dataclass(frozen=True, kw_only=True)
class Classified:
    """One server with so many clients; times in milliseconds. In a summary, medians."""

    server: str
    clients: int
    documents_per_second: float
    answer_p50: float
    answer_p99: float
    processor_seconds_per_1000: float
    memory_megabytes: float
    generator_processor_share: float


def made_up_documents(tokenizer: Tokenizer, count: int, *, seed: int = 0) -> list[str]:
    """Texts of known words; the lengths are spread evenly, the order is not."""
    words = [text for word in tokenizer.vocabulary() if (text := word.strip()).isalpha()]
    chance = random.Random(seed)
    lengths = [SHORTEST + index % (LONGEST - SHORTEST + 1) for index in range(count)]
    chance.shuffle(lengths)
    return [" ".join(chance.choices(words, k=length)) for length in lengths]


def measure_all(plan: ClassifyPlan) -> list[Classified]:
    """Every server with every number of clients, as often as the plan says."""
    found = []
    for repeat in range(plan.repeats):
        for clients in plan.clients:
            for candidate in CLASSIFIERS:
                found.append(measure(plan, candidate, clients))
                print(
                    f"{repeat + 1}/{plan.repeats}  {candidate.name:16} {clients:3} clients "
                    f"{found[-1].documents_per_second:8.0f} documents/s",
                    flush=True,
                )
    return found


def measure(plan: ClassifyPlan, candidate: Candidate, clients: int) -> Classified:
    """Starts the server, lets it warm up, loads it, and ends it."""
    log = plan.logs / f"{candidate.name.replace(' ', '-').lower()}-classifier.log"
    with started(candidate, {"artifact": plan.artifact}, log) as server:
        put_on(candidate, server, plan.load(clients, warm_up=True))
        tally = put_on(candidate, server, plan.load(clients))
        memory = server.memory_bytes()
    p50, p99 = tally.first_tokens
    return Classified(
        server=candidate.name,
        clients=clients,
        documents_per_second=tally.per_second,
        answer_p50=1e3 * p50,
        answer_p99=1e3 * p99,
        processor_seconds_per_1000=tally.processor_seconds_per_1000,
        memory_megabytes=memory / 1e6,
        generator_processor_share=tally.own_processor_share,
    )


def summarize(found: Sequence[Classified]) -> list[Classified]:
    """One for each server and number of clients: the median of every figure."""
    names = [field.name for field in fields(Classified) if field.name not in IDENTITY]
    return [
        Classified(
            server=server,
            clients=clients,
            **{name: median(getattr(one, name) for one in group) for name in names},
        )
        for (server, clients), group in grouped(
            found, lambda one: (one.server, one.clients)
        ).items()
    ]

"""The panels of each row, from left to right."""

from __future__ import annotations

from docker.grafana.dashboard.panels import (
    Panel,
    Query,
    heatmap,
    lines,
    quantiles,
    stat,
    table,
)
from docker.grafana.dashboard.queries import (
    CLASSIFIER,
    INSTANCE,
    LANGUAGE_MODEL,
    MODEL,
    WORK,
    measured,
    model_rate,
    of_kind,
    rate,
    share_of_status,
)

FIRST_TOKEN, INTER_TOKEN = "unroll_time_to_first_token_seconds", "unroll_inter_token_seconds"
QUEUE, STEP = "unroll_queue_seconds", "unroll_step_seconds"


def at_a_glance() -> list[Panel]:
    """The numbers that tell whether anything is wrong."""
    first_token = rate(f"{FIRST_TOKEN}_bucket{{{MODEL}}}")
    refused = f"sum(unroll_models_refused{{{INSTANCE}}})"
    return [
        stat(
            "Ready",
            "Instances that take new requests.",
            f"sum(unroll_ready{{{INSTANCE}}}) or vector(0)",
            red_from=None,
        ),
        stat(
            "Models",
            "Models that are served.",
            f"count(count by (model) (unroll_model_info{{{MODEL}}})) or vector(0)",
            red_from=None,
        ),
        stat("Refused models", "Artifacts that are not served.", refused, red_from=1),
        stat(
            "Running",
            "Sequences that hold a row.",
            f"sum(unroll_sequences_running{{{MODEL}}})",
            red_from=1e9,
        ),
        stat(
            "Queue",
            "The fullest queue of a model; 100 % is what one client may fill.",
            f"max(unroll_sequences_waiting{{{MODEL}}} / "
            f"(unroll_sequences_waiting_limit{{{MODEL}}} > 0))",
            unit="percentunit",
            red_from=0.5,
        ),
        stat(
            "First token, p99",
            "Time from submission to the first token.",
            f"{measured(f'histogram_quantile(0.99, sum by (le) ({first_token}))')} or vector(0)",
            unit="s",
            red_from=1,
        ),
        stat(
            "Refused",
            "Share of requests that got 429.",
            share_of_status("429"),
            unit="percentunit",
            red_from=0.05,
        ),
        stat(
            "Failed",
            "Share of requests that got 500 or 504.",
            share_of_status("500|504"),
            unit="percentunit",
            red_from=0.01,
        ),
    ]


def requests() -> list[Panel]:
    """What clients ask and get."""
    work = f"unroll_requests_total{{{INSTANCE}, {WORK}}}"
    seconds = rate(f"unroll_request_seconds_bucket{{{INSTANCE}, {WORK}}}")
    return [
        lines(
            "Requests by route",
            "Answers per second, without scrapes, probes and pages.",
            Query(f"sum by (route) ({rate(work)}) > 0", "{{route}}"),
            unit="reqps",
            stacked=True,
        ),
        lines(
            "Answers by status",
            "499: the client left before the answer was complete.",
            Query(f"sum by (status) ({rate(work)}) > 0", "{{status}}"),
            unit="reqps",
            stacked=True,
        ),
        lines(
            "Rejections by reason",
            "queue_full is answered with 429 and a Retry-After, draining with 503; slow readers "
            "are disconnected.",
            Query(
                f"sum by (reason) ({rate(f'unroll_rejected_total{{{MODEL}}}')})",
                "{{reason}}",
            ),
            Query(
                f"sum by (reason) ({rate(f'unroll_slow_readers_total{{{INSTANCE}}}')})",
                "slow reader: {{reason}}",
            ),
            unit="reqps",
            stacked=True,
        ),
        lines(
            "Time of a request, p99",
            "From its headers to the end of its answer; a long stream is a long request.",
            Query(
                measured(f"histogram_quantile(0.99, sum by (le, route) ({seconds}))"), "{{route}}"
            ),
            unit="s",
            width=12,
        ),
        lines(
            "Finish reasons",
            "Sequences and texts that ended, per second.",
            Query(
                f"sum by (reason) ({rate(f'unroll_sequences_finished_total{{{MODEL}}}')}) > 0",
                "{{reason}}",
            ),
            unit="ops",
            width=12,
            stacked=True,
        ),
    ]


def language_models() -> list[Panel]:
    """Latency, tokens and steps of language models."""
    kind = LANGUAGE_MODEL
    rows = {
        part: f"sum by (model) ({model_rate(f'unroll_batch_rows_{part}', kind)})"
        for part in ("sum", "count")
    }
    lookups = "unroll_state_cache_lookups_total"
    hits = model_rate(lookups, kind, ', result="hit"')
    share = f"sum by (model) ({hits}) / sum by (model) ({model_rate(lookups, kind)})"
    cache = of_kind(f"unroll_state_cache_bytes{{{MODEL}}}", kind)
    return [
        heatmap("First token", "Requests by time to first token.", FIRST_TOKEN, kind),
        heatmap("Between tokens", "Tokens by the time since the one before.", INTER_TOKEN, kind),
        heatmap("Queue", "Sequences by the time that they waited for a row.", QUEUE, kind),
        quantiles("First token, quantiles", "From submission.", FIRST_TOKEN, kind),
        quantiles("Between tokens, quantiles", "Of one choice.", INTER_TOKEN, kind),
        quantiles("Queue, quantiles", "Before a sequence gets its first row.", QUEUE, kind),
        lines(
            "Tokens per second",
            "Generated, and read from prompts and scored texts.",
            Query(
                f"sum by (model) ({model_rate('unroll_generated_tokens_total', kind)})",
                "{{model}} generated",
            ),
            Query(
                f"sum by (model) ({model_rate('unroll_prompt_tokens_total', kind)})",
                "{{model}} read",
            ),
        ),
        quantiles("Step time", "Each step counts; steps of one burst share its mean.", STEP, kind),
        lines(
            "Rows in a step",
            "The mean batch size.",
            Query(measured(f"{rows['sum']} / {rows['count']}"), "{{model}}"),
        ),
        lines(
            "State cache hits",
            "Share of prompts whose beginning was in the cache.",
            Query(measured(share), "{{model}}"),
            unit="percentunit",
            width=12,
        ),
        lines(
            "State cache",
            "Memory of cached states.",
            Query(f"sum by (model) ({cache})", "{{model}}"),
            unit="bytes",
            width=12,
        ),
    ]


def classifiers() -> list[Panel]:
    """The same for classifiers, whose sequences are texts."""
    kind = CLASSIFIER
    finished = model_rate("unroll_sequences_finished_total", kind, ', reason="done"')
    return [
        heatmap("Queue of texts", "Texts by the time before their batch.", QUEUE, kind),
        quantiles("Time of a slice", "A batch of texts is computed in slices.", STEP, kind),
        lines(
            "Texts and tokens per second",
            "Classified texts, and the tokens read for them.",
            Query(f"sum by (model) ({finished})", "{{model}} texts"),
            Query(
                f"sum by (model) ({model_rate('unroll_prompt_tokens_total', kind)})",
                "{{model}} tokens",
            ),
        ),
    ]


def engine_and_process() -> list[Panel]:
    """What the process is busy with."""
    step_time = rate(f"unroll_step_seconds_sum{{{MODEL}}}")
    return [
        lines(
            "Share of time in steps",
            "The height of the stack is the load of the step loop: at 100 % it does nothing else.",
            Query(f"sum by (instance, model) ({step_time})", "{{instance}} {{model}}"),
            unit="percentunit",
            stacked=True,
        ),
        lines(
            "Sequences",
            "Those with a row, and those that wait for one.",
            Query(f"sum by (model) (unroll_sequences_running{{{MODEL}}})", "{{model}} running"),
            Query(f"sum by (model) (unroll_sequences_waiting{{{MODEL}}})", "{{model}} waiting"),
        ),
        lines(
            "Health",
            "1 or 0: live, ready, draining.",
            *(
                Query(f"unroll_{state}{{{INSTANCE}}}", f"{{{{instance}}}} {state}")
                for state in ("live", "ready", "draining")
            ),
        ),
        lines(
            "Memory",
            "Resident memory of the process.",
            Query(f"process_resident_memory_bytes{{{INSTANCE}}}", "{{instance}}"),
            unit="bytes",
        ),
        lines(
            "Processor",
            "Cores in use.",
            Query(rate(f"process_cpu_seconds_total{{{INSTANCE}}}"), "{{instance}}"),
        ),
        lines(
            "Open files",
            "Descriptors of the process; each connection has one.",
            Query(f"process_open_fds{{{INSTANCE}}}", "{{instance}}"),
        ),
        lines(
            "Artifacts loaded and refused",
            "Loads in the last hour by result.",
            Query(
                f"sum by (instance, result) (increase(unroll_model_loads_total{{{INSTANCE}}}[1h]))",
                "{{instance}} {{result}}",
            ),
            width=24,
        ),
    ]


def inventory() -> list[Panel]:
    """The versions that are served."""
    return [
        table(
            "Served models",
            "Name, version, kind, cell and tokenizer of each model.",
            f"unroll_model_info{{{MODEL}}}",
            16,
        ),
        table(
            "Builds",
            "Version of the service and of Python on each instance.",
            f"unroll_build_info{{{INSTANCE}}}",
            8,
        ),
    ]


ROWS = {
    "At a glance": at_a_glance,
    "Requests": requests,
    "Language models": language_models,
    "Classifiers": classifiers,
    "Step loop and process": engine_and_process,
    "Models and builds": inventory,
}

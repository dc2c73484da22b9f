"""Everything about a running service that its operator may decide, with defaults.

Read from ``UNROLL_*`` environment variables and from the command line, which wins. Knows nothing
of models or HTTP; the other rooms read it and never change it.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, CliSuppress, NoDecode, SettingsConfigDict

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Settings(BaseSettings):
    """Options of the service; each is also the environment variable UNROLL_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix="UNROLL_",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        cli_prog_name="python -m service",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
    )

    models: Path = Field(
        default=Path("pretrained"),
        description="directory of artifacts, one in each subdirectory",
    )
    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(default=8000, ge=0, le=65535, description="port; 0 takes a free one")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe messages to log"
    )
    access_log: bool = Field(default=True, description="log a line for each request")
    api_keys: CliSuppress[Annotated[tuple[SecretStr, ...], NoDecode]] = Field(
        default=(), description="comma-separated keys of which a client must send one"
    )
    default_language_model: str | None = Field(
        default=None, description="language model that answers when none is named (first by name)"
    )
    default_classifier: str | None = Field(
        default=None, description="classifier that answers when none is named (first by name)"
    )
    threads: Count | None = Field(
        default=None, description="threads for arithmetic (as many as the CPU quota grants)"
    )
    kernel: Literal["auto", "native", "torch"] = Field(
        default="auto", description="what computes steps; auto: the native kernel if it was built"
    )
    precision: Literal["int8", "float32"] = Field(
        default="int8", description="numbers that the native kernel multiplies"
    )
    burst_steps: Count = Field(
        default=8, le=64, description="steps between two looks at new requests, at most"
    )

    state_cache_bytes: int = Field(
        default=64 * 2**20, ge=0, description="memory for states of prompts, per language model"
    )
    state_key: CliSuppress[SecretStr] = Field(
        default=SecretStr(""),
        description="signs the states that clients keep; without one they end with the process",
    )
    max_state_characters: Count = Field(
        default=1 << 20, description="longest state a client may bring, in characters"
    )

    max_rows: Count = Field(
        default=64, le=4096, description="sequences of one language model that run at once"
    )
    max_waiting: int = Field(
        default=256,
        ge=0,
        le=100_000,
        description="sequences or texts of a client that wait before it gets 429",
    )
    max_body_bytes: Count = Field(default=1 << 20, description="largest request body")
    body_seconds: Seconds = Field(default=10, gt=0, description="time a body has to arrive")
    max_prompt_tokens: Count = Field(
        default=100_000, description="longest prompt or text, in tokens"
    )
    max_tokens: Count = Field(default=8_192, description="largest max_tokens a client may ask for")
    max_choices: Count = Field(default=16, le=128, description="largest n a client may ask for")
    max_texts: Count = Field(
        default=64, le=1024, description="most texts in one /score or /classify"
    )
    max_explained_tokens: Count = Field(
        default=256, description="longest text that explain is done for, in tokens"
    )
    max_deadline_ms: Count = Field(default=600_000, description="largest deadline_ms")
    stream_buffer_events: int = Field(
        default=16_384, ge=16, description="events kept for a client that reads slowly"
    )

    ping_seconds: Seconds = Field(
        default=15, gt=0, description="quiet time in a stream after which a comment is sent"
    )
    heartbeat_seconds: Seconds = Field(
        default=10, gt=0, description="silence of the step loop after which /health/live fails"
    )
    keep_alive_seconds: int = Field(
        default=75,
        ge=1,
        description="how long a quiet connection is kept for its next request; more than the pools "
        "of clients and load balancers keep one, or they ask on one that is just being closed",
    )
    drain_seconds: Seconds = Field(
        default=30, description="time running requests have to finish after SIGTERM"
    )

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(key.strip() for key in value.split(",") if key.strip())
        return value

    @property
    def thread_count(self) -> int:
        """The threads asked for, or else what the machine grants this process."""
        return self.threads or granted_cpus()


def granted_cpus(quota_file: Path = _CGROUP_QUOTA) -> int:
    """Whole CPUs this process may use: its affinity, cut by the cgroup's quota (``cpu.max``)."""
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
        granted = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no cgroup v2 here, or its quota is "max"
        return available
    return max(1, min(available, granted))

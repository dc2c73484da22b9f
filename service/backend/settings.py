"""Everything about a running service that its operator may decide, with defaults.

Read from ``UNROLL_*`` environment variables and from the command line, which wins. Knows nothing
of artifacts or HTTP; the other rooms read it and never change it.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, CliSuppress, NoDecode, SettingsConfigDict

from model.system.cpu_quota import granted_cpus

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

_KEY = re.compile(r"[\x21-\x7e]+")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/\s?#@]+")
SHORTEST_STATE_KEY = 32  # bytes
FEWEST_CHARACTERS = 8  # different ones: fewer are a word that is repeated


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
        default=(),
        description="comma-separated keys of which a client must send one; /, /health, /metrics "
        "and /docs stay open, and /metrics counts cache hits",
    )
    default_language_model: str | None = Field(
        default=None, description="language model that answers when none is named (first by name)"
    )
    default_classifier: str | None = Field(
        default=None, description="classifier that answers when none is named (first by name)"
    )
    threads: Count | None = Field(
        default=None,
        le=1024,
        description="threads for arithmetic (as many as the CPU quota grants)",
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
        description="signs the states that clients keep, at least 32 bytes of random characters; "
        "without one they end with the process",
    )
    bind_states_to_keys: bool = Field(
        default=False,
        description="a state is of use only with the API key that it was given out for",
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
    max_inspected_tokens: Count = Field(
        default=2000, le=100_000, description="longest text that /inspect reads, in tokens"
    )
    max_waiting_inspections: Count = Field(
        default=16,
        le=10_000,
        description="inspections of a client that wait before it gets 429",
    )
    max_body_bytes: Count = Field(default=1 << 20, description="largest request body")
    body_seconds: Seconds = Field(default=10, gt=0, description="time a body has to arrive")
    max_head_bytes: int = Field(
        default=1 << 16,
        ge=1024,
        le=1 << 24,
        description="longest head of a request (request line and headers), in bytes",
    )
    head_seconds: Seconds = Field(
        default=10,
        gt=0,
        description="time the head of a request has to arrive, and a new connection to begin one",
    )
    write_seconds: Seconds = Field(
        default=30,
        gt=0,
        description="time without progress after which a client that does not read is cut off",
    )
    max_connections: Count | None = Field(
        default=None,
        description="connections at once (1024, or what the limit of open files leaves)",
    )
    allow_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="comma-separated origins (https://example.com) whose web pages may call the "
        "service (CORS), or * for all; none by default",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="comma-separated addresses or networks of proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed; none by default",
    )
    max_prompt_tokens: Count = Field(
        default=100_000, description="longest prompt or text, in tokens"
    )
    max_tokens: Count = Field(
        default=8_192, le=10_000_000, description="largest max_tokens a client may ask for"
    )
    max_choices: Count = Field(default=16, le=128, description="largest n a client may ask for")
    max_texts: Count = Field(
        default=64, le=1024, description="most texts in one /score or /classify"
    )
    max_explained_tokens: Count = Field(
        default=256, description="longest text that explain is done for, in tokens"
    )
    max_explained_work: Count = Field(
        default=1 << 15,
        description="tokens that one explain may read: each text once for each of its tokens",
    )
    max_logprobs: Count = Field(
        default=1 << 18,
        description="log-probabilities in one answer: tokens x (1 + alternatives) x choices",
    )
    max_deadline_ms: Count = Field(
        default=600_000, le=10_000_000, description="largest deadline_ms"
    )
    max_answers_bytes: Count = Field(
        default=1 << 29,
        description="memory for answers being made or not yet read by their clients, about; what "
        "would need more gets 429",
    )
    stream_buffer_bytes: int = Field(
        default=1 << 22,
        ge=1 << 14,
        description="memory for what a client has yet to read of a stream, about; one that falls "
        "further behind gets an error in place of the rest",
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

    @field_validator("state_key")
    @classmethod
    def _check_state_key(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        long = len(text.encode()) >= SHORTEST_STATE_KEY
        if text and not (long and len(set(text)) >= FEWEST_CHARACTERS):
            raise ValueError(
                f"expected at least {SHORTEST_STATE_KEY} bytes of random characters, since a key "
                "that can be guessed can be found from one state; make one with: "
                "openssl rand -hex 32"
            )
        return key

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        keys = _split(value)
        if isinstance(value, str) and not keys:
            raise ValueError("this holds no key: set one, or leave it unset to ask for none")
        return keys

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in keys:
            if not _KEY.fullmatch(key.get_secret_value()):
                raise ValueError("a key must be of visible ASCII characters, to fit into a header")
        return tuple(dict.fromkeys(keys))

    @field_validator("allow_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        return _split(value)

    @field_validator("allow_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin such as https://example.com")
        return tuple(origin.lower() for origin in origins)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError as error:
                message = f"{proxy!r} is no address or network such as 10.0.0.0/8"
                raise ValueError(message) from error
        return proxies

    @field_validator("*", mode="before")
    @classmethod
    def _check_text(cls, value: object, info: ValidationInfo) -> object:
        """Refuses bytes that are no text, which Python smuggles in; a file may have such a name.

        Defined last, so that it runs first.
        """
        if isinstance(value, str) and info.field_name != "models" and not _is_text(value):
            raise ValueError("must be text in UTF-8")
        return value

    @property
    def thread_count(self) -> int:
        """The threads asked for, or else what the machine grants this process."""
        return self.threads or granted_cpus()


def _split(value: object) -> object:
    """The parts of a comma-separated text; what is no text stays as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)

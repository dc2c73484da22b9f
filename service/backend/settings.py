"""The settings of the service, with defaults.

They are read from ``UNROLL_*`` environment variables and from the command line, which takes
precedence. Settings are immutable.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, CliSuppress, NoDecode, SettingsConfigDict

from model.system.cpu_quota import granted_cpus
from service.clients.key_file import LARGEST_RATE, ClientLimits

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=LARGEST_RATE)]

_KEY = re.compile(r"[\x21-\x7e]+")
_PATHS = ("models", "api_keys_file")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/\s?#@]+")
MIN_STATE_KEY_BYTES = 32  # bytes
MIN_ADMIN_KEY = 16  # characters
MIN_DISTINCT_CHARACTERS = 8  # fewer different ones are a repeated word


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
    watch_seconds: Seconds = Field(
        default=2,
        description="time between two looks at the directory of models; new, changed and removed "
        "artifacts are taken over; 0 looks only after SIGHUP and POST /admin/reload",
    )
    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(default=8000, ge=0, le=65535, description="port; 0 takes a free one")
    workers: Count = Field(
        default=1,
        le=256,
        description="processes that share the port, the processors and the limits of memory and "
        "connections; 1 serves from one process without a supervisor",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe messages to log"
    )
    access_log: bool = Field(default=True, description="log a line for each request")
    log_format: Literal["text", "json"] = Field(
        default="text", description="format of the log; json: one object a line"
    )
    log_texts: bool = Field(
        default=False,
        description="add the beginning of the request's body to its line in the log, which has "
        "texts of clients",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]+(/\S*)?$",
        description="address of an OpenTelemetry collector (OTLP over HTTP, such as "
        "http://localhost:4318) that gets traces; needs unroll[otel]. None are made by default",
    )
    trace_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of requests that are traced; the decision of a client's traceparent "
        "comes first",
    )
    api_keys: CliSuppress[Annotated[tuple[SecretStr, ...], NoDecode]] = Field(
        default=(),
        description="comma-separated keys; a client must send one of them. /, /health, /metrics "
        "and /docs need no key, and /metrics counts cache hits",
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="file of API keys, as NAME sha256:DIGEST LIMITS on each line; it is read again "
        "when it changes",
    )
    requests_per_second: Rate | None = Field(
        default=None,
        description="requests of one client (key or address) per second; more get 429. A key of "
        "the file may have its own limit",
    )
    tokens_per_second: Rate | None = Field(
        default=None,
        description="tokens of one client per second, read and generated; more get 429. A request "
        "is charged its max_tokens, and what it did not use is returned at its end",
    )
    concurrent_requests: Count | None = Field(
        default=None,
        description="requests of one client (key or address) that run, wait or are being answered "
        "at the same time; more get 429. A key of the file may have its own limit",
    )
    admin_key: CliSuppress[SecretStr] = Field(
        default=SecretStr(""),
        description="key for POST /admin/reload, at least 16 characters; without it and without "
        "--admin-port there is no such route",
    )
    admin_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port on 127.0.0.1 for POST /admin/reload, health and metrics, with which that "
        "route is not on the other port; 0 takes a free one",
    )
    default_language_model: str | None = Field(
        default=None, description="language model of requests that name none (first by name)"
    )
    default_classifier: str | None = Field(
        default=None, description="classifier of requests that name none (first by name)"
    )
    threads: Count | None = Field(
        default=None,
        le=1024,
        description="threads for arithmetic (the CPU quota of the process)",
    )
    kernel: Literal["auto", "native", "torch"] = Field(
        default="auto",
        description="kernel that computes steps; auto: the native one if it was built",
    )
    precision: Literal["int8", "float32"] = Field(
        default="int8", description="precision of the native kernel"
    )
    burst_steps: Count = Field(
        default=32, le=64, description="most steps of a turn; a new request ends a turn early"
    )

    state_cache_bytes: int = Field(
        default=16 * 2**20,
        ge=0,
        description="memory of the cache of prompt states, per language model, in bytes",
    )
    state_key: CliSuppress[SecretStr] = Field(
        default=SecretStr(""),
        description="key that signs state tokens, at least 32 bytes of random characters; without "
        "it state tokens become invalid when the process ends",
    )
    bind_states_to_keys: bool = Field(
        default=False,
        description="accept a state token only with the API key that it was issued for",
    )
    max_state_characters: Count = Field(
        default=1 << 20, description="longest state token of a request, in characters"
    )

    max_rows: Count = Field(
        default=64, le=4096, description="sequences of one language model that run at the same time"
    )
    max_waiting: int = Field(
        default=256,
        ge=0,
        le=100_000,
        description="sequences or texts of a client that may wait; more get 429",
    )
    max_inspected_tokens: Count = Field(
        default=2000, le=100_000, description="longest text that /inspect reads, in tokens"
    )
    max_waiting_inspections: Count = Field(
        default=16, le=10_000, description="inspections of a client that may wait; more get 429"
    )
    max_body_bytes: Count = Field(default=1 << 20, description="largest request body, in bytes")
    body_seconds: Seconds = Field(
        default=10, gt=0, description="time limit for receiving a body, in seconds"
    )
    max_head_bytes: int = Field(
        default=1 << 16,
        ge=1024,
        le=1 << 24,
        description="longest head of a request (request line and headers), in bytes",
    )
    head_seconds: Seconds = Field(
        default=10,
        gt=0,
        description="time limit for receiving the head of a request, also on a new connection",
    )
    write_seconds: Seconds = Field(
        default=30,
        gt=0,
        description="time without progress after which a client that does not read is disconnected",
    )
    max_connections: Count | None = Field(
        default=None,
        description="most connections (1024, or fewer if the limit of open files is lower)",
    )
    allow_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="comma-separated origins (https://example.com) whose web pages may call the "
        "service (CORS), or * for all; none by default",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="comma-separated addresses or networks of proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto are trusted; none by default",
    )
    max_prompt_tokens: Count = Field(
        default=100_000, description="longest prompt or text, in tokens"
    )
    max_tokens: Count = Field(
        default=8_192, le=10_000_000, description="largest max_tokens of a request"
    )
    max_choices: Count = Field(default=16, le=128, description="largest n of a request")
    max_texts: Count = Field(
        default=64, le=1024, description="most texts in one /score or /classify"
    )
    max_explained_tokens: Count = Field(
        default=256, description="longest text that explain accepts, in tokens"
    )
    max_explained_work: Count = Field(
        default=1 << 15,
        description="tokens that one explain may read; it reads a text once for each of its tokens",
    )
    max_logprobs: Count = Field(
        default=1 << 18,
        description="most log-probabilities in one answer: tokens x (1 + alternatives) x choices",
    )
    max_pattern_bytes: Count = Field(
        default=16_384,
        le=1 << 16,  # the automaton of choices has up to 1 kB for each byte
        description="longest regex, or choices in all, of a request, in bytes",
    )
    pattern_seconds: Seconds = Field(
        default=5,
        gt=0,
        le=60,
        description="time limit for compiling a regex or choices; a more complex one gets 400",
    )
    constraint_cache_bytes: int = Field(
        default=64 * 2**20,
        ge=1 << 20,
        description="memory of compiled regexes and choices, per language model, in bytes; beyond "
        "it the ones used last are kept. One constraint may take it all",
    )
    max_deadline_ms: Count = Field(
        default=600_000, le=10_000_000, description="largest deadline_ms"
    )
    max_answers_bytes: Count = Field(
        default=1 << 29,
        description="approximate memory of answers that are incomplete or not yet read, in bytes; "
        "a request beyond it gets 429",
    )
    stream_buffer_bytes: int = Field(
        default=1 << 22,
        ge=1 << 14,
        description="approximate memory of the unread part of a stream, in bytes; beyond it the "
        "generation pauses until the client has read",
    )
    pause_seconds: Seconds = Field(
        default=120,
        gt=0,
        description="longest pause of a generation whose client does not read; then the client "
        "gets an error instead of the rest",
    )

    ping_seconds: Seconds = Field(
        default=15,
        gt=0,
        description="time without events in a stream after which a comment is sent",
    )
    heartbeat_seconds: Seconds = Field(
        default=10,
        gt=0,
        description="time without a turn of the step loop after which /health/live fails and, 2 "
        "seconds later, the process ends with status 3",
    )
    keep_alive_seconds: int = Field(
        default=75,
        ge=1,
        description="time that an idle connection is kept open; set it higher than in client pools "
        "and load balancers, so that they do not send on a connection that is being closed",
    )
    drain_seconds: Seconds = Field(
        default=30, description="time limit for running requests after SIGTERM"
    )

    @field_validator("state_key")
    @classmethod
    def _check_state_key(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        long = len(text.encode()) >= MIN_STATE_KEY_BYTES
        if text and not (long and len(set(text)) >= MIN_DISTINCT_CHARACTERS):
            raise ValueError(
                f"expected at least {MIN_STATE_KEY_BYTES} bytes of random characters, since a weak "
                "key can be found from one state token; make one with: "
                "openssl rand -hex 32"
            )
        return key

    @field_validator("admin_key")
    @classmethod
    def _check_admin_key(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        text = key.get_secret_value()
        if text and (len(text) < MIN_ADMIN_KEY or not _KEY.fullmatch(text)):
            raise ValueError(
                f"expected at least {MIN_ADMIN_KEY} visible ASCII characters; make one with: "
                "openssl rand -hex 32"
            )
        if text and key in info.data.get("api_keys", ()):
            raise ValueError("expected a key that is not one of UNROLL_API_KEYS")
        return key

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        keys = _split(value)
        if isinstance(value, str) and not keys:
            raise ValueError("the value has no key: set one, or unset the variable to require none")
        return keys

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in keys:
            if not _KEY.fullmatch(key.get_secret_value()):
                raise ValueError(
                    "a key must consist of visible ASCII characters, since it is sent in a header"
                )
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
                raise ValueError(f"{origin!r} is not an origin such as https://example.com")
        return tuple(origin.lower() for origin in origins)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError as error:
                message = f"{proxy!r} is not an address or network such as 10.0.0.0/8"
                raise ValueError(message) from error
        return proxies

    @field_validator("*", mode="before")
    @classmethod
    def _check_text(cls, value: object, info: ValidationInfo) -> object:
        """Refuse bytes that are not valid text, which Python maps to surrogates. Paths may have
        them.

        Defined last, so that it runs first.
        """
        if isinstance(value, str) and info.field_name not in _PATHS and not _is_text(value):
            raise ValueError("must be text in UTF-8")
        return value

    @property
    def client_limits(self) -> ClientLimits:
        """The limits of clients that have none of their own."""
        return ClientLimits(
            self.requests_per_second, self.tokens_per_second, self.concurrent_requests
        )

    @property
    def thread_count(self) -> int:
        """The number of threads: the setting, or else the CPU quota of the process."""
        return self.threads or granted_cpus()


def _split(value: object) -> object:
    """The parts of a comma-separated text; other values are returned unchanged."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)

"""The schemas of the responses of the OpenAI protocol."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class CompletionLogprobs(_Response):
    """Parallel lists, one element for each token. With `echo`, the first tokens are those of the
    prompt, and the first element of two lists is null.
    """

    tokens: list[str] = Field(
        description='texts; a part of a character as "bytes:\\\\xe2", the end of a text as "[END]"'
    )
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] = Field(
        description="the likeliest tokens and the token itself"
    )
    text_offset: list[int] = Field(description="where the token begins in `text`, in characters")


class CompletionChoice(_Response):
    """A continuation."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] = Field(
        description="stop: the model ended the text, or a stop string; length: max_tokens"
    )


class CachedTokens(_Response):
    """Details of the prompt tokens."""

    cached_tokens: int


class CompletionUsage(_Response):
    """Numbers of tokens. A generated [END] counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class CompletionResponse(_Response):
    """Continuations, those of the first prompt first."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: CompletionUsage


class EmbeddingData(_Response):
    """The vector of one input."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(description="numbers, or base64 of float32 numbers")


class EmbeddingsUsage(_Response):
    """The number of tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(_Response):
    """Vectors in the order of the inputs."""

    object: Literal["list"]
    data: list[EmbeddingData]
    model: str
    usage: EmbeddingsUsage


class OpenAIModelResponse(_Response):
    """A served model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="when this process loaded it, in seconds since 1970")
    owned_by: str = "unroll"


class OpenAIModelsResponse(_Response):
    """All models."""

    object: Literal["list"] = "list"
    data: list[OpenAIModelResponse]


class OpenAIErrorDetail(_Response):
    """An error."""

    message: str
    type: str
    param: str | None
    code: str | None = Field(description="as `type` of the other routes")


class OpenAIErrorResponse(_Response):
    """The shape of every error below /v1."""

    error: OpenAIErrorDetail

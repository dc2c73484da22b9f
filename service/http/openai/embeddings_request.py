"""The request of POST /v1/embeddings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from service.http.openai.field_types import TextsOrIds
from service.http.request_schemas import RequestFields

_MOST_DIMENSIONS = 1_000_000


class EmbeddingsRequest(RequestFields):
    """A vector for each input."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "user-requests", "input": ["play some jazz", "will it rain"]}]
        }
    )

    input: TextsOrIds = Field(description="a text, texts, token ids, or lists of them")
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="base64: of float32 numbers, least significant byte first"
    )
    dimensions: int | None = Field(
        default=None, ge=1, le=_MOST_DIMENSIONS, description="only the model's own number"
    )
    normalize: bool = Field(default=True, description="scale each vector to length 1")
    user: Any = Field(default=None, description="ignored")

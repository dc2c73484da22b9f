"""A Python client of the service: what it sends, what it returns, and what it raises.

Requires httpx (``pip install "unroll[client]"``) and none of the other packages of Unroll.

Example:
    >>> from unroll_client import Client
    >>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
    ...     client.generate("The laws of the", max_tokens=3, seed=1).text
"""

from unroll_client.async_client import AsyncClient, AsyncTextStream
from unroll_client.client import Client, TextStream
from unroll_client.errors import (
    ClientError,
    ConnectionFailedError,
    MalformedAnswerError,
    OverloadedError,
    RequestRefusedError,
    StreamInterruptedError,
    UnauthorizedError,
    UnavailableError,
)
from unroll_client.options import GenerateOptions
from unroll_client.results import (
    ClassifiedText,
    EmbeddedText,
    GeneratedChoice,
    Generation,
    InspectedText,
    LikelyToken,
    NextWords,
    ReadToken,
    ScoredText,
    ServedModel,
    StreamedText,
    TokenIds,
    TokenUsage,
    WordCandidate,
)
from unroll_client.retrying import RetryPolicy

__all__ = [
    "AsyncClient",
    "AsyncTextStream",
    "ClassifiedText",
    "Client",
    "ClientError",
    "ConnectionFailedError",
    "EmbeddedText",
    "GenerateOptions",
    "GeneratedChoice",
    "Generation",
    "InspectedText",
    "LikelyToken",
    "MalformedAnswerError",
    "NextWords",
    "OverloadedError",
    "ReadToken",
    "RequestRefusedError",
    "RetryPolicy",
    "ScoredText",
    "ServedModel",
    "StreamInterruptedError",
    "StreamedText",
    "TextStream",
    "TokenIds",
    "TokenUsage",
    "UnauthorizedError",
    "UnavailableError",
    "WordCandidate",
]

"""Empty FastAPI routes with the models of the service: the limit of a short request.

    python -m benchmarks.peers.fastapi_empty PORT

A route validates the request, computes nothing and returns a constant answer of the usual size.
"""

import sys

import uvicorn
from fastapi import FastAPI

from service.http.request_schemas import (
    ClassifyRequest,
    GenerateRequest,
    NextWordRequest,
    ScoreRequest,
)
from service.http.schemas import (
    Choice,
    ClassifyResponse,
    ClassifyResult,
    GenerateResponse,
    LabelScore,
    NextWordResponse,
    ScoredToken,
    ScoreResponse,
    TextScore,
    Usage,
    WordProbability,
)

MODEL = "empty"
TOKENS = 10


def create_app() -> FastAPI:
    """The application with the routes of short requests and /health."""
    app = FastAPI()

    @app.post("/classify", response_model_exclude_none=True)
    async def classify(_: ClassifyRequest) -> ClassifyResponse:
        scores = [LabelScore(label=label, score=0.5) for label in ("negative", "positive")]
        result = ClassifyResult(
            label="negative",
            confidence=0.5,
            scores=scores,
            token_count=TOKENS,
            unknown_tokens=0,
            truncated=False,
        )
        return ClassifyResponse(model=MODEL, results=[result])

    @app.post("/generate", response_model_exclude_none=True)
    async def generate(_: GenerateRequest) -> GenerateResponse:
        return GenerateResponse(
            model=MODEL,
            choices=[Choice(index=0, text=" keys", finish_reason="length")],
            usage=Usage(prompt_tokens=TOKENS, cached_tokens=0, completion_tokens=1),
            seed=1,
        )

    @app.post("/score", response_model_exclude_none=True)
    async def score(_: ScoreRequest) -> ScoreResponse:
        tokens = [ScoredToken(text=" keys", logprob=-1.0) for _ in range(TOKENS)]
        result = TextScore(
            tokens=tokens, logprob=-10.0, perplexity=2.7, bits_per_byte=1.0, unknown_tokens=0
        )
        return ScoreResponse(model=MODEL, results=[result])

    @app.post("/next-word", response_model_exclude_none=True)
    async def next_word(request: NextWordRequest) -> NextWordResponse:
        words = [WordProbability(word="keys", probability=0.01) for _ in range(request.top)]
        return NextWordResponse(model=MODEL, words=words, covered=0.1, entropy_bits=1.0)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ready": True}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")

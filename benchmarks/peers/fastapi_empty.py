"""An empty FastAPI route with the models of POST /next-word: the limit of a short request.

    python -m benchmarks.peers.fastapi_empty PORT

It validates the request, computes nothing and returns a constant answer with as many words.
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class EmptyRouteRequest(BaseModel):
    """The body of a request."""

    model: str
    prompt: str
    top: int = 10


class EmptyRouteWord(BaseModel):
    """A word of a response."""

    word: str
    probability: float


class EmptyRouteResponse(BaseModel):
    """The body of a response."""

    model: str
    words: list[EmptyRouteWord]
    covered: float
    entropy_bits: float


def create_app() -> FastAPI:
    """The application with /next-word and /health."""
    app = FastAPI()

    @app.post("/next-word")
    async def next_word(request: EmptyRouteRequest) -> EmptyRouteResponse:
        words = [EmptyRouteWord(word="keys", probability=0.01)] * request.top
        return EmptyRouteResponse(model=request.model, words=words, covered=0.1, entropy_bits=1.0)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ready": True}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")

"""The routes below /inspect that show what single parameters of a language model do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.http.dependencies import Context
from service.http.request_body import JsonRoute
from service.inspection.cancellation import Cancellation
from service.routes.error_responses import WORK_ERRORS
from service.routes.inspection.requests import UnitStepRequest, WordVectorsRequest
from service.routes.inspection.responses import UnitStepResponse, WordVectorsResponse
from service.routes.inspection.running import respond

router = APIRouter(prefix="/inspect", route_class=JsonRoute, tags=["inspection"])


@router.post(
    "/step",
    response_model=UnitStepResponse,
    response_model_exclude_none=True,
    responses=WORK_ERRORS,
    summary="The arithmetic of one unit in one step",
)
async def show_step(body: UnitStepRequest, request: Request, context: Context) -> Response:
    """Every term of the cell's formulas as a number, for one unit and the step that reads one
    token of a text.
    """
    name = context.model_name(body.model, "language-model")

    def compute(cancellation: Cancellation) -> dict[str, Any]:
        inspector = context.inspectors().language_model(name)
        inspector.pieces(body.text, "text")
        piece, step = inspector.unit_step(
            body.text, body.token, body.layer, body.unit, cancellation
        )
        return {
            "cell_kind": inspector.network.architecture.cell,
            "text": piece.text,
            **step._asdict(),
            "terms": [term._asdict() for term in step.terms],
        }

    return await respond(
        request, context, body, name, compute, cost=float(len(body.text)), texts=[body.text]
    )


@router.post(
    "/words",
    response_model=WordVectorsResponse,
    responses=WORK_ERRORS,
    summary="Vectors of words and their nearest words",
)
async def show_words(body: WordVectorsRequest, request: Request, context: Context) -> Response:
    """The vector of each word, the words with the most similar vectors (cosine), and a map of all
    of them in two dimensions.
    """
    name = context.model_name(body.model, "language-model")

    def compute(cancellation: Cancellation) -> dict[str, Any]:
        cancellation.check()
        found = context.inspectors().language_model(name).map_words(body.words, body.neighbors)
        return {
            "words": [
                {
                    "word": word.word,
                    "norm": word.norm,
                    "vector": word.vector,
                    "neighbors": [
                        {"word": other, "cosine": cosine} for other, cosine in word.neighbors
                    ],
                }
                for word in found.words
            ],
            "points": [{"word": word, "x": x, "y": y} for word, (x, y) in found.points.items()],
            "explained": found.explained,
        }

    return await respond(
        request, context, body, name, compute, cost=100.0 * len(body.words), texts=body.words
    )

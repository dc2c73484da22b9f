"""The routes below /inspect that look inside a language model."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from model.units.markings import MARKINGS, Marking
from service.http.api_keys import tenant_of
from service.http.dependencies import Context
from service.http.errors import ApiError
from service.http.request_body import JsonRoute
from service.inspection.cancellation import Cancellation
from service.inspection.queries import ExchangedPart
from service.kernel.api.interface import Sampling
from service.routes.error_responses import WORK_ERRORS
from service.routes.inspection.requests import (
    ClampedGenerationRequest,
    ContinuationsRequest,
    InfluenceRequest,
    MemorySwapRequest,
    StateComparisonRequest,
    UnitSearchRequest,
)
from service.routes.inspection.responses import (
    ClampedGenerationResponse,
    ContinuationsResponse,
    InfluenceResponse,
    MemorySwapResponse,
    StateComparisonResponse,
    UnitSearchResponse,
)
from service.routes.inspection.running import respond
from service.routes.inspection.texts import clamps_of

if TYPE_CHECKING:
    from service.inspection.generation import ClampedToken
    from service.inspection.language_model import LanguageModelInspector

ALL_MARKINGS = "all"
_GIVEN = "given"
MOST_INFLUENCES = 256  # tokens whose influence is measured at once: work grows with their square

router = APIRouter(prefix="/inspect", route_class=JsonRoute, tags=["inspection"])


@router.post(
    "/units",
    response_model=UnitSearchResponse,
    response_model_exclude_none=True,
    responses=WORK_ERRORS,
    summary="Find units that follow a marking",
)
async def search_units(body: UnitSearchRequest, request: Request, context: Context) -> Response:
    """Compares every unit of the model with a marking of the text: a named one (inside quotes,
    position in the line, ...), all named ones at once, or one number for each character.
    """
    name = context.model_name(body.model, "language-model")
    tenant = tenant_of(request)

    def compute(cancellation: Cancellation) -> dict[str, Any]:
        inspectors = context.inspectors()  # they change when models are loaded
        inspector = inspectors.language_model(name)
        start = inspectors.start(name, body.state, tenant)
        inspector.pieces(body.text, "text")
        units = inspector.search_units(
            body.text, _markings(body), start, body.top, cancellation, by=body.by
        )
        fields = {name: [unit._asdict() for unit in best] for name, best in units.items()}
        if body.marking == ALL_MARKINGS:
            return {"markings": fields}
        if _GIVEN not in fields:
            message = "marking: it is the same at every token, so no unit can follow it"
            raise ApiError(422, "invalid_request", message, "marking")
        return {"units": fields[_GIVEN]}

    return await respond(
        request, context, body, name, compute, cost=float(len(body.text)), texts=[body.text]
    )


def _markings(body: UnitSearchRequest) -> dict[str, Marking]:
    """The markings of the text by name; a single one is named ``_GIVEN``."""
    if isinstance(body.marking, list):
        return {_GIVEN: np.array(body.marking, dtype=np.float64)}
    if body.marking == ALL_MARKINGS:
        return {name: marking(body.text) for name, marking in MARKINGS.items()}
    return {_GIVEN: MARKINGS[body.marking](body.text)}


@router.post(
    "/generate",
    response_model=ClampedGenerationResponse,
    responses=WORK_ERRORS,
    summary="Generate with and without clamped units",
)
async def generate(body: ClampedGenerationRequest, request: Request, context: Context) -> Response:
    """Holds units at a value while the model reads the prompt and goes on, and beside it lets the
    model go on as it is, with the same random numbers.
    """
    name = context.model_name(body.model, "language-model")
    tenant = tenant_of(request)
    seed = secrets.randbits(63) if body.seed is None else body.seed

    def compute(cancellation: Cancellation) -> dict[str, Any]:
        inspectors = context.inspectors()  # they change when models are loaded
        inspector = inspectors.language_model(name)
        start = inspectors.start(name, body.state, tenant)
        inspector.pieces(body.prompt, "prompt")
        sampling = Sampling(temperature=body.temperature, seed=seed)
        texts = {}
        for which, units in (("clamped", body.clamp), ("unclamped", [])):
            clamps = clamps_of(units)
            inspector.check_clamps(clamps)
            tokens = inspector.generate(
                body.prompt, start, sampling, body.max_tokens, cancellation, clamps
            )
            texts[which] = _generated(tokens, inspector)
        return {"seed": seed, **texts}

    cost = float(len(body.prompt) + 2 * body.max_tokens)
    return await respond(
        request,
        context,
        body,
        name,
        compute,
        cost=cost,
        texts=[body.prompt, body.prompt],
        generated=2 * body.max_tokens,
    )


def _generated(tokens: Sequence[ClampedToken], inspector: LanguageModelInspector) -> dict[str, Any]:
    tokenizer = inspector.tokenizer
    ids = [token.token for token in tokens]
    ended = bool(ids) and ids[-1] == tokenizer.end
    return {
        "text": tokenizer.decode(ids),
        "tokens": [tokenizer.text_of(token) for token in ids],
        "finish_reason": "end" if ended else "length",
    }


@router.post(
    "/swap",
    response_model=MemorySwapResponse,
    responses=WORK_ERRORS,
    summary="Exchange the memories of two texts",
)
async def swap_memories(body: MemorySwapRequest, request: Request, context: Context) -> Response:
    """Exchanges the states after two texts, or the states of some layers and units, and lets both
    read the continuation and go on, beside the same without the exchange.
    """
    name = context.model_name(body.model, "language-model")
    seed = secrets.randbits(63) if body.seed is None else body.seed

    def compute(cancellation: Cancellation) -> dict[str, Any]:
        inspector = context.inspectors().language_model(name)
        for param in ("first", "second", "continuation"):
            inspector.pieces(getattr(body, param), param)
        generated = inspector.exchange_memories(
            (body.first, body.second),
            body.continuation,
            ExchangedPart(body.layers, body.units, body.signals),
            Sampling(temperature=body.temperature, seed=seed),
            body.max_tokens,
            cancellation,
        )
        names = ("first", "second", "first_swapped", "second_swapped")
        texts = [_generated(tokens, inspector) for tokens in generated]
        return {"seed": seed, **dict(zip(names, texts, strict=True))}

    characters = len(body.first) + len(body.second) + 4 * len(body.continuation)
    cost = float(characters + 4 * body.max_tokens)
    return await respond(
        request,
        context,
        body,
        name,
        compute,
        cost=cost,
        texts=[body.first, body.second, *[body.continuation] * 4],
        generated=4 * body.max_tokens,
    )


@router.post(
    "/states",
    response_model=StateComparisonResponse,
    responses=WORK_ERRORS,
    summary="Compare the states after two texts",
)
async def compare_states(
    body: StateComparisonRequest, request: Request, context: Context
) -> Response:
    """Which units differ most after two texts, and for how many tokens the difference lasts when
    the model reads the same continuation from both states.
    """
    name = context.model_name(body.model, "language-model")

    def compute(cancellation: Cancellation) -> dict[str, Any]:
        inspector = context.inspectors().language_model(name)
        for param in ("first", "second", "continuation"):
            inspector.pieces(getattr(body, param), param)
        found = inspector.compare_texts(
            body.first, body.second, body.continuation, body.top, cancellation
        )
        divergence = found.divergence
        texts = ["", *(piece.text for piece in found.common)]
        steps = zip(
            texts, divergence.distance_TL.tolist(), divergence.divergence_T.tolist(), strict=True
        )
        return {
            "units": [
                {
                    "layer": unit.layer,
                    "unit": unit.unit,
                    "signal": unit.signal,
                    "first": unit.first,
                    "second": unit.second,
                }
                for unit in found.units
            ],
            "steps": [
                {"text": text, "distance": distance, "divergence_bits": bits}
                for text, distance, bits in steps
            ],
            "lasts_tokens": divergence.lasts,
        }

    cost = float(len(body.first) + len(body.second) + 2 * len(body.continuation))
    return await respond(
        request,
        context,
        body,
        name,
        compute,
        cost=cost,
        texts=[body.first, body.second, body.continuation, body.continuation],
    )


@router.post(
    "/influence",
    response_model=InfluenceResponse,
    responses=WORK_ERRORS,
    summary="What each token does to a prediction",
)
async def measure_influence(body: InfluenceRequest, request: Request, context: Context) -> Response:
    """The influence of each token of a text on the prediction after it: by the gradient with
    respect to the token's vector, and by leaving the token out.
    """
    name = context.model_name(body.model, "language-model")

    def compute(cancellation: Cancellation) -> dict[str, Any]:
        inspector = context.inspectors().language_model(name)
        tokenizer = inspector.tokenizer
        pieces = inspector.pieces(body.text, "text", MOST_INFLUENCES)
        if body.target is None:
            target = inspector.likeliest_successor(pieces, cancellation)
        else:
            target = inspector.first_token_after(body.text, pieces, body.target)
        found = inspector.influence(pieces, target, cancellation)
        rows = zip(
            pieces,
            found.gradient_T.tolist(),
            found.contribution_T.tolist(),
            found.erasure_T.tolist(),
            found.factor_T.tolist(),
            strict=True,
        )
        return {
            "target": tokenizer.text_of(target),
            "logprob": found.logprob,
            "tokens": [
                {
                    "text": piece.text,
                    "gradient": gradient,
                    "contribution": contribution,
                    "erasure": erasure,
                    "factor": factor,
                }
                for piece, gradient, contribution, erasure, factor in rows
            ],
        }

    return await respond(
        request, context, body, name, compute, cost=10.0 * len(body.text), texts=[body.text]
    )


@router.post(
    "/continuations",
    response_model=ContinuationsResponse,
    responses=WORK_ERRORS,
    summary="Compare continuations along a prefix",
)
async def compare_continuations(
    body: ContinuationsRequest, request: Request, context: Context
) -> Response:
    """How likely each continuation is before the first token of a prefix and after each of them:
    where in a sentence the model makes up its mind, as between *is* and *are*.
    """
    name = context.model_name(body.model, "language-model")

    def compute(cancellation: Cancellation) -> dict[str, Any]:
        inspector = context.inspectors().language_model(name)
        inspector.pieces(body.prefix, "prefix")
        found = inspector.compare_continuations(body.prefix, body.continuations, cancellation)
        texts = ["", *(piece.text for piece in found.pieces)]
        by_step = zip(*found.logprobs, strict=True)
        return {
            "continuations": [[piece.text for piece in each] for each in found.continuations],
            "steps": [
                {"text": text, "logprobs": [_finite(logprob) for logprob in logprobs]}
                for text, logprobs in zip(texts, by_step, strict=True)
            ],
        }

    cost = float(len(body.prefix)) * (1 + len(body.continuations))
    return await respond(
        request, context, body, name, compute, cost=cost, texts=[body.prefix, *body.continuations]
    )


def _finite(logprob: float) -> float:
    """JSON has no infinity."""
    return max(logprob, -1e30) if not math.isnan(logprob) else -1e30

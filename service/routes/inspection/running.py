"""Runs one inspection for a request: bounded, in its turn, and cancelled with the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import Request
from pydantic_core import to_json
from starlette.responses import Response

from service.clients.rate_limits import TokenCharge
from service.engine.api.errors import DeadlineExceeded, EngineError, RateLimited
from service.http.api_keys import client_of
from service.http.dependencies import ServiceContext
from service.http.errors import ApiError, ClientGoneError
from service.http.request_schemas import RequestFields
from service.inspection.cancellation import Cancellation

Fields = Mapping[str, Any]
SLICE_ITEMS = 50  # of a list, encoded without a break


async def respond(
    request: Request,
    context: ServiceContext,
    body: RequestFields,
    name: str,
    compute: Callable[[Cancellation], Fields],
    *,
    cost: float,
    texts: Sequence[str],
    generated: int = 0,
) -> Response:
    """The model's name and the fields of ``compute``, which the inspection thread calls, as JSON.

    Args:
        cost: see ``Inspections.run``.
        texts: what the client is charged for, in tokens, if it has a limit of them.
        generated: further tokens that it is charged.

    Raises:
        ClientGoneError: the client closed the connection first.
        EngineError: see ``Inspections.run``; RateLimited.
    """
    context.limits.check(body)
    client = client_of(request)

    def encoded(cancellation: Cancellation) -> bytes:
        return _json_of({"model": name, **compute(cancellation)}, cancellation)

    deadline = None if body.deadline_ms is None else body.deadline_ms / 1000
    charge = _charge(context, client, name, texts, generated)
    work = asyncio.ensure_future(
        context.inspections.run(encoded, client=client, cost=cost, deadline_seconds=deadline)
    )
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGoneError
        return Response(work.result(), media_type="application/json")
    except DeadlineExceeded:  # it was computed in part
        raise
    except (ApiError, EngineError):
        if charge is not None:
            charge.settle(None)
        raise
    finally:
        work.cancel()
        gone.cancel()


def _charge(
    context: ServiceContext, client: str, name: str, texts: Sequence[str], generated: int
) -> TokenCharge | None:
    """Charge the client for its tokens, as far as an inspection may read them. None if they are not
    limited. Raises RateLimited.
    """
    if not context.rates.limits_tokens(client):
        return None
    most = context.settings.max_inspected_tokens
    encode = context.artifact(name).tokenizer.encode
    read = sum(min(most, len(encode(text, most))) for text in texts)
    try:
        return context.rates.charge(client, read, generated)
    except RateLimited:
        context.metrics.rejected(name, "rate_limited")
        raise


def _json_of(fields: Fields, cancellation: Cancellation) -> bytes:
    """The fields as JSON, without those that are None.

    Lists are encoded in slices: the encoder holds the interpreter lock, which the engine and the
    event loop wait for.
    """
    members = []
    for name, value in fields.items():
        if value is None:
            continue
        if isinstance(value, list):
            slices = range(0, len(value), SLICE_ITEMS)
            parts = [
                _encoded(value[begin : begin + SLICE_ITEMS], cancellation)[1:-1] for begin in slices
            ]
            members.append(to_json(name) + b":[" + b",".join(parts) + b"]")
        elif isinstance(value, dict):
            members.append(to_json(name) + b":" + _json_of(value, cancellation))
        else:
            members.append(to_json(name) + b":" + _encoded(value, cancellation))
    return b"{" + b",".join(members) + b"}"


def _encoded(value: Any, cancellation: Cancellation) -> bytes:
    cancellation.check()
    return to_json(value, inf_nan_mode="null", exclude_none=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

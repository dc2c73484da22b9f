"""Runs one inspection for a request: bounded, in its turn, and cancelled with the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import Request
from pydantic_core import to_json
from starlette.responses import Response

from service.backend.inspections import InspectionCharge
from service.http.api_keys import client_of
from service.http.dependencies import ServiceContext
from service.http.errors import ClientGoneError
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
        EngineError: see ``Inspections.run``.
    """
    context.limits.check(body)
    client = client_of(request)

    def encoded(cancellation: Cancellation) -> bytes:
        return _json_of({"model": name, **compute(cancellation)}, cancellation)

    deadline = None if body.deadline_ms is None else body.deadline_ms / 1000
    charge = InspectionCharge(name, partial(_tokens, context, name, texts), generated)
    work = asyncio.ensure_future(
        context.inspections.run(
            encoded, client=client, cost=cost, charge=charge, deadline_seconds=deadline
        )
    )
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGoneError
        return Response(work.result(), media_type="application/json")
    finally:
        work.cancel()
        gone.cancel()


def _tokens(context: ServiceContext, name: str, texts: Sequence[str]) -> int:
    """The tokens of texts, as far as an inspection may read them."""
    most = context.settings.max_inspected_tokens
    encode = context.artifact(name).tokenizer.encode
    return sum(min(most, len(encode(text, most))) for text in texts)


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

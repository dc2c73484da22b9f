"""The message printed at the start: the served models, the address, and requests to try."""

from __future__ import annotations

import json
from collections.abc import Mapping

from service.http.dependencies import ServiceContext

_PROMPT = "The keys to the"


def startup_banner(context: ServiceContext, host: str, port: int) -> str:
    """The lines for the terminal."""
    address = f"http://{_reachable(host)}:{port}"
    artifacts = context.registry.artifacts
    width = max(map(len, artifacts), default=0)
    lines = [f"Unroll serves at {address}", "Open it in a browser for the playground.", ""]
    for name, artifact in artifacts.items():
        manifest = artifact.manifest
        default = "  (default)" if context.registry.is_default(name) else ""
        lines.append(f"  {name:<{width}}  {manifest.kind}, {manifest.architecture.cell}{default}")
    if not artifacts:
        lines.append(f"  no model yet: waiting for one in {context.settings.models}")
    lines += ["", _keys(len(context.keys)), "", "Try:", ""]
    if "language-model" in context.registry.defaults:
        lines.append(_curl(address, "next-word", {"prompt": _PROMPT, "top": 5}))
        lines.append(
            _curl(address, "generate", {"prompt": _PROMPT, "max_tokens": 40, "stream": True})
        )
    if "classifier" in context.registry.defaults:
        lines.append(_curl(address, "classify", {"text": "A warm and funny film."}))
    lines += ["", f"More at {address}/docs. Ctrl+C stops.", ""]
    return "\n".join(lines)


def _keys(count: int) -> str:
    if not count:
        return "API keys: not required; UNROLL_API_KEYS or --api-keys-file sets them"
    return f"API keys: one of {count} is required"


def _curl(address: str, route: str, body: Mapping[str, object]) -> str:
    header = "-H 'Content-Type: application/json'"
    unbuffered = " -N" if body.get("stream") else ""
    return f"  curl{unbuffered} {address}/{route} {header} -d '{json.dumps(body)}'"


def _reachable(host: str) -> str:
    """The address to use for a listening address."""
    if host in {"0.0.0.0", "::"}:
        return "127.0.0.1" if host == "0.0.0.0" else "[::1]"
    return f"[{host}]" if ":" in host else host

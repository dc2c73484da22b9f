"""Signed tokens: bytes that the client keeps and that only this service can have made.

    base64url( content | signature )

The signature is HMAC-SHA256 over the content, and over the API key's digest if states are bound to
keys. :mod:`service.engine.states.state_token` and
:mod:`service.engine.states.document_state_token` define the contents.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import zlib

from model.storage.stored_artifact import StoredArtifact
from service.engine.api.errors import ForeignState, InvalidState

SIGNATURE_BYTES = 32
FINGERPRINT_BYTES = 16


class TokenSigner:
    """Signs and checks tokens with one key.

    ``bound``: a token is valid only for the tenant that got it.
    """

    def __init__(self, key: bytes, *, bound: bool) -> None:
        self._key = key
        self._bound = bound

    def seal(self, content: bytes, tenant: str) -> str:
        """The token of a content."""
        signature = self._sign(content, tenant)
        return base64.urlsafe_b64encode(content + signature).decode().rstrip("=")

    def open(self, token: str, tenant: str) -> bytes:
        """The content of a token. Raises InvalidState unless this key has signed it."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidState from None
        content, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(content, tenant)):
            raise InvalidState
        return content

    def _sign(self, content: bytes, tenant: str) -> bytes:
        owner = b"of " + tenant.encode() + b"\0" if self._bound else b""
        return hmac.digest(self._key, b"unroll state\0" + owner + content, "sha256")


def fingerprint_of(artifact: StoredArtifact) -> bytes:
    """The identity of the model's files, 16 bytes."""
    digests = ";".join(
        f"{name}={digest}" for name, digest in sorted(artifact.manifest.files.items())
    )
    return hashlib.sha256(digests.encode()).digest()[:FINGERPRINT_BYTES]


def check_origin(
    version: int, expected_version: int, fingerprint: bytes, expected_fingerprint: bytes
) -> None:
    """Raises ForeignState for another format, another model or another version of the model."""
    if version != expected_version:
        raise ForeignState(f"the token has format version {version}, expected {expected_version}")
    if fingerprint != expected_fingerprint:
        raise ForeignState("the token belongs to another model or another version of this model")


def expand(compressed: bytes, longest: int) -> bytes:
    """Decompress at most ``longest`` bytes. Raises InvalidState if there are more, or no end."""
    expander = zlib.decompressobj()
    try:
        body = expander.decompress(compressed, longest + 1)  # one more byte shows an excess
    except zlib.error:
        raise InvalidState from None
    if not expander.eof or expander.unused_data:
        raise InvalidState
    return body

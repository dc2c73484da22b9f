"""State tokens signed with a stolen key: no harm to the engine."""

from __future__ import annotations

import base64
import dataclasses
import hmac
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.artifact import Artifact
from model.networks import LanguageModel
from service.engine.api.errors import ForeignState, InvalidState
from service.engine.states.signed_token import fingerprint_of
from service.engine.states.state_token import DRAINED_VERSION, STATE_TOKEN_VERSION
from service.kernel.api.interface import Sampling
from tests.support.service.continuing import OPTIONS, ask, last
from tests.support.service.engine_client import EngineClient, text_of

HEAD = struct.Struct("<B16sIQQQ")
LENGTHS = struct.Struct("<BHII")
SIGNATURE_BYTES = 32


def sign(sealed: bytes) -> str:
    """The token of these bytes."""
    signature = hmac.digest(OPTIONS.state_key, b"unroll state\0" + sealed, "sha256")
    return base64.urlsafe_b64encode(sealed + signature).decode().rstrip("=")


@dataclasses.dataclass
class Token:
    """The fields of a token, changed one at a time."""

    version: int
    fingerprint: bytes
    last: int
    position: int
    seed: int
    choice: int
    pending: bytes
    seen: bytes
    numbers: np.ndarray
    unread: tuple[int, ...] = ()
    shown: int = 0
    reported: int | None = None
    counts: tuple[tuple[int, int], ...] = ()

    @property
    def body(self) -> bytes:
        """The compressed part."""
        sizes = (len(self.pending), len(self.unread), self.shown, len(self.counts))
        lengths = LENGTHS.pack(*sizes)
        if self.reported is not None:
            lengths += struct.pack("<H", self.reported)
        tokens = [*self.unread, *(token for token, _ in self.counts)]
        numbers = np.array([*tokens, *(count for _, count in self.counts)], dtype="<u4").tobytes()
        return b"".join((lengths, self.pending, numbers, self.seen, self.numbers.tobytes()))

    @property
    def head(self) -> bytes:
        """The uncompressed part."""
        return HEAD.pack(
            self.version, self.fingerprint, self.last, self.position, self.seed, self.choice
        )

    def signed(self) -> str:
        """The token as a client sends it."""
        return sign(self.head + zlib.compress(self.body))


@pytest.fixture
def token(artifact: Artifact) -> Token:
    """A valid token."""
    network = artifact.network
    assert isinstance(network, LanguageModel)
    shape = network.architecture
    numbers = np.full((2, shape.layers, 1, shape.hidden), 0.25, dtype=np.float32)
    seen = bytes((shape.vocabulary + 7) // 8)
    return Token(STATE_TOKEN_VERSION, fingerprint_of(artifact), 3, 10, 7, 0, b"", seen, numbers)


def with_number(token: Token, part: int, value: float) -> str:
    """Another number in the hidden states (0) or the cell states (1)."""
    token.numbers[part, 0, 0, 3] = value
    return token.signed()


def test_a_whole_token_is_taken(served: EngineClient, token: Token) -> None:
    """The token that the other tests change is valid; an incomplete character may be pending."""
    for pending in (b"", b"\xf0\x9f\xa6", b"\xc3"):
        token.pending = pending
        assert last(served, ask("", max_tokens=3, state=token.signed()))[0]
    for unread, shown in (((3,), 0), ((3, 4), 2)):  # tokens that a stop string has cut
        cut = dataclasses.replace(token, unread=unread, shown=shown, pending=b"")
        assert last(served, ask("", max_tokens=3, state=cut.signed()))[0]
    drained = dataclasses.replace(token, version=DRAINED_VERSION, unread=(3, 4), pending=b"")
    for shown, reported in ((0, 0), (1, 1), (2, 2), (99, 0), (0, 2)):  # text withheld in a drain
        cut = dataclasses.replace(drained, shown=shown, reported=reported)
        for logprobs in (None, 1):
            task = ask("", max_tokens=3, state=cut.signed(), logprobs=logprobs, stop=("zz",))
            assert last(served, task)[1].completion_tokens in {1, 2, 3}
    counted = dataclasses.replace(token, counts=((3, 1), (4, 2**30)), pending=b"")
    assert last(served, ask("", max_tokens=3, state=counted.signed()))[0]
    unknown = dataclasses.replace(token, last=0, pending=b"")  # [UNK] of a prompt, still to be read
    assert last(served, ask("", max_tokens=3, state=unknown.signed()))[0]
    token.numbers[1] = 1e6  # a cell state after long counting
    assert last(served, ask("", max_tokens=3, state=token.signed()))[0]


def forgeries(token: Token, vocabulary: int) -> Iterator[tuple[str, str]]:
    """Each field out of range, by name."""
    fields: dict[str, tuple[Any, ...]] = {
        "last": (vocabulary, 2**31, 2**32 - 1),
        "position": (2**53 + 1, 2**64 - 1),
        "choice": (2**16 + 1, 2**64 - 1),
        "pending": (b"abc", b"\x80", b"\xff", b"\xf0\x9f\xa6\x89", b"\xc3\xc3", b"x" * 255),
        "seen": (token.seen + b"\0", token.seen[:-1], b"\xff" * len(token.seen), b""),
        "unread": ((vocabulary,), (2**32 - 1,), (3, 0), (3,) * 1025),
        "shown": (1, 2**32 - 1),
        "counts": (((vocabulary, 1),), ((0, 1),), ((3, 0),), ((3, 2**31),), ((3, 1), (3, 1))),
        "numbers": (token.numbers[:1], np.repeat(token.numbers, 2), token.numbers[:0]),
    }
    for field, values in fields.items():
        for value in values:
            yield f"{field} {value!r:.40}", dataclasses.replace(token, **{field: value}).signed()
    for unread, reported in (((), 0), ((3, 4), 3), ((3, 4), 2**16 - 1), ((3, 4), None)):
        changed = dataclasses.replace(
            token, version=DRAINED_VERSION, unread=unread, reported=reported
        )
        yield f"reported {unread} {reported}", changed.signed()
    for part in (0, 1):
        for number in (np.nan, np.inf, -np.inf, 3.4e38, -1e9):
            changed = dataclasses.replace(token, numbers=token.numbers.copy())
            yield f"number {number}", with_number(changed, part, number)
    changed = dataclasses.replace(token, numbers=token.numbers.copy())
    yield "hidden state", with_number(changed, 0, 1.5)
    compressed = zlib.compress(token.body)
    for name, body in {
        "bomb": zlib.compress(bytes(2**28)),
        "longer": zlib.compress(token.body + b"\0"),
        "trailing": compressed + b"\0",
        "twice": compressed * 2,
        "cut": compressed[:-1],
        "raw": token.body,
        "nothing": b"",
        "empty": zlib.compress(b""),
    }.items():
        yield name, sign(token.head + body)
    yield "short", sign(token.head[:-1])
    yield "none", sign(b"")


def test_a_field_out_of_range_is_refused(
    served: EngineClient, token: Token, artifact: Artifact
) -> None:
    """The request is refused, and other requests of the same steps get their texts."""
    expected, _ = last(served, ask(max_tokens=40))
    running = served.submit(ask(max_tokens=40))
    refused: list[str] = []
    for name, forged in forgeries(token, artifact.tokenizer.size):
        task = ask("", state=forged)
        with pytest.raises(InvalidState):
            pytest.fail(f"{name} was taken: {served.submit(task)}")
        refused.append(name)
    assert len(refused) > 30
    assert text_of(served.wait(running)) == expected


def test_another_version_or_model_is_named(served: EngineClient, token: Token) -> None:
    """These errors differ from that of a damaged token."""
    for changed in (
        dataclasses.replace(token, version=9),
        dataclasses.replace(token, fingerprint=bytes(16)),
    ):
        with pytest.raises(ForeignState):
            served.submit(ask("", state=changed.signed()))


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_change_is_refused_or_does_no_harm(
    served: EngineClient, token: Token, data: st.DataObject
) -> None:
    """Any byte of head or body, changed and signed again: the token is refused or gives a text."""
    head, body = bytearray(token.head), bytearray(token.body)
    changed = data.draw(st.sampled_from([head, body]))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.integers(0, 255))
    task = ask(
        "",
        max_tokens=3,
        sampling=Sampling(repetition_penalty=1.3),
        seed_is_given=False,
        state=sign(bytes(head) + zlib.compress(bytes(body))),
        return_state=True,
    )
    try:
        ticket = served.submit(task)
    except (InvalidState, ForeignState):
        return
    _, ended = last(served, dataclasses.replace(task, state=task.state))
    assert ended.reason in {"length", "end"}
    assert served.wait(ticket)[-1].final


def test_a_bound_state_is_of_use_to_its_tenant(artifact: Artifact) -> None:
    """Bound tokens are valid for their tenant only; others for every tenant."""
    for bound in (False, True):
        options = dataclasses.replace(OPTIONS, bind_states_to_keys=bound)
        desk = EngineClient({"m": artifact}, options)
        desk.engine.start()
        try:
            _, ended = last(desk, ask(max_tokens=3, return_state=True, tenant="one"))
            assert last(desk, ask("", max_tokens=3, state=ended.state, tenant="one"))[0]
            if bound:
                with pytest.raises(InvalidState):
                    desk.submit(ask("", state=ended.state, tenant="two"))
            else:
                assert last(desk, ask("", max_tokens=3, state=ended.state, tenant="two"))[0]
        finally:
            desk.engine.stop(0.0)

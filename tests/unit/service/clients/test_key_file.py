"""The file of API keys."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.clients.key_file import MAX_FILE_BYTES, KeyFileError, read_key_file


def digest(key: str) -> str:
    """The field of a key."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def test_names_digests_and_limits_are_read(tmp_path: Path) -> None:
    """Comments and blank lines are skipped; a name may have several keys and limits."""
    path = tmp_path / "keys"
    path.write_text(
        f"# clients\n\nweb {digest('one')} requests_per_second=5 tokens_per_second=2e3\n"
        f"web\t{digest('two').upper().replace('SHA256', 'sha256')}\r\n"
        f"batch {digest('three')} concurrent_requests=4\n"
    )
    keys = read_key_file(path)
    assert {d.hex(): name for d, name in keys.names.items()} == {
        hashlib.sha256(b"one").hexdigest(): "web",
        hashlib.sha256(b"two").hexdigest(): "web",
        hashlib.sha256(b"three").hexdigest(): "batch",
    }
    assert keys.limits == {
        "web": {"requests_per_second": 5.0, "tokens_per_second": 2000.0},
        "batch": {"concurrent_requests": 4},
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("web", "expected NAME"),
        ("web secret-in-clear", "expected NAME"),
        ("web sha256:12", "expected NAME"),
        ("we/b {one}", "expected NAME"),
        ("web {one} burst=3", "requests_per_second=NUMBER"),
        ("web {one} requests_per_second=0", "above 0"),
        ("web {one} requests_per_second=nan", "above 0"),
        ("web {one} tokens_per_second=much", "above 0"),
        ("web {one} concurrent_requests=0", "above 0"),
        ("web {one} concurrent_requests=1.5", "whole number"),
        ("web {one} tokens_per_second=1 tokens_per_second=2", "twice"),
        ("web {first}", "already that of first"),
        ("first {one} tokens_per_second=1", "first line"),
        ("web {empty}", "empty key"),
    ],
)
def test_a_bad_line_is_named_and_not_quoted(tmp_path: Path, line: str, expected: str) -> None:
    """The message has the file, the line and the expected form, and no part of a key."""
    path = tmp_path / "keys"
    digests = {"one": digest("one"), "first": digest("first"), "empty": digest("")}
    path.write_text(f"first {digest('first')}\n" + line.format(**digests) + "\n")
    with pytest.raises(KeyFileError) as refused:
        read_key_file(path)
    message = str(refused.value)
    assert message.startswith(f"{path}:2: ")
    assert expected in message
    assert "secret" not in message
    assert not any(value.removeprefix("sha256:") in message for value in digests.values())


def test_files_that_are_no_list_of_keys_are_refused(tmp_path: Path) -> None:
    """A missing file, a directory, an empty list, other encodings and endless files are refused."""
    path = tmp_path / "keys"
    for content in (None, b"", b"# none\n", b"\n\xff\xfe", b"#" * (MAX_FILE_BYTES + 1)):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(KeyFileError, match="keys"):
            read_key_file(path)
    with pytest.raises(KeyFileError):
        read_key_file(tmp_path)


@given(content=st.binary(max_size=200))
def test_no_content_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Any bytes are either keys or a KeyFileError."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_bytes(content)
    with contextlib.suppress(KeyFileError):
        assert read_key_file(path).names

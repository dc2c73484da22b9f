"""API keys that change while the service runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from service.clients.key_file import ClientLimits, KeyFileError
from service.clients.keyring import CHECK_SECONDS, Keyring


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, *lines: tuple[str, str, str]) -> None:
    """Replace the file by lines of name, key and limits, as editors do: by renaming."""
    new = path.with_suffix(".new")
    new.write_text(
        "".join(
            f"{name} sha256:{hashlib.sha256(key.encode()).hexdigest()} {limits}\n"
            for name, key, limits in lines
        )
    )
    new.replace(path)


def test_keys_of_settings_and_file_are_valid(tmp_path: Path) -> None:
    """Both sources count. Keys of one name are one client, others are not."""
    path = tmp_path / "keys"
    write(path, ("web", "one", ""), ("web", "two", ""), ("batch", "three", ""))
    keys = Keyring(["fixed"], path)
    tenants = {}
    for key in ("fixed", "one", "two", "three"):
        owner = keys.owner(key.encode())
        assert owner is not None
        tenants[key] = owner.tenant
    assert tenants["one"] == tenants["two"]
    assert len(set(tenants.values())) == 3
    assert keys.owner(b"four") is None
    assert keys.owner(b"") is None
    assert len(keys) == 4


def test_a_changed_file_is_read_within_a_second(tmp_path: Path) -> None:
    """A removed key ends and a new one starts with the next check, and limits change."""
    path, clock = tmp_path / "keys", Clock()
    write(path, ("web", "old", "requests_per_second=1"))
    keys = Keyring([], path, clock=clock)
    old = keys.owner(b"old")
    assert old is not None
    assert keys.limits(old.tenant) == ClientLimits(requests_per_second=1.0)
    write(path, ("web", "new", "tokens_per_second=7"))
    clock.now += CHECK_SECONDS
    new = keys.owner(b"new")
    assert new == old
    assert keys.owner(b"old") is None
    assert keys.limits(old.tenant) == ClientLimits(tokens_per_second=7.0)


@pytest.mark.parametrize("content", ["", "web\n", None])
def test_a_bad_file_changes_nothing(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """While the new file is bad or gone, the previous keys are valid; it is told once."""
    path, clock = tmp_path / "keys", Clock()
    write(path, ("web", "key", ""))
    keys = Keyring([], path, clock=clock)
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    for _ in range(3):
        clock.now += CHECK_SECONDS
        assert keys.owner(b"key") is not None
        assert keys.owner(b"other") is None
    assert caplog.text.count("the API keys are unchanged") == 1
    write(path, ("web", "other", ""))
    clock.now += CHECK_SECONDS
    assert keys.owner(b"other") is not None


def test_a_bad_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    """The service does not start without the keys that were asked for."""
    with pytest.raises(KeyFileError):
        Keyring(["fixed"], tmp_path / "missing")


def test_own_limits_complete_the_defaults(tmp_path: Path) -> None:
    """A limit of the file replaces the default of the same name only."""
    path = tmp_path / "keys"
    write(path, ("web", "one", "requests_per_second=9"), ("batch", "two", ""))
    keys = Keyring([], path, default_limits=ClientLimits(1.0, 2.0))
    web, batch = keys.owner(b"one"), keys.owner(b"two")
    assert web is not None
    assert batch is not None
    assert keys.limits(web.tenant) == ClientLimits(9.0, 2.0)
    assert keys.limits(batch.tenant) == ClientLimits(1.0, 2.0)
    assert keys.limits("127.0.0.1") == ClientLimits(1.0, 2.0)


def test_the_file_is_read_only_when_it_changed(tmp_path: Path) -> None:
    """Equal time, size and inode mean that nothing is read."""
    path, clock = tmp_path / "keys", Clock()
    write(path, ("web", "abc", ""))
    status = path.stat()
    keys = Keyring([], path, clock=clock)
    path.write_text(path.read_text().replace("web", "bew"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    clock.now += CHECK_SECONDS
    owner = keys.owner(b"abc")
    assert owner is not None
    assert owner.name == "web"

"""Settings of the operator's access."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from service.backend.settings import Settings

CLIENT_KEY = "a-key-of-a-client"


@pytest.mark.parametrize(
    "key", ["short", "with spaces in the key", "not-ascii-\u00e9\u00e9\u00e9\u00e9\u00e9"]
)
def test_weak_keys_of_the_operator_are_refused(key: str) -> None:
    """A key that could be guessed or not be sent is refused, with the way to make one."""
    with pytest.raises(ValidationError, match="openssl rand"):
        Settings(admin_key=SecretStr(key))


def test_the_key_of_the_operator_is_no_key_of_a_client() -> None:
    """A client's key must not open actions of the operator."""
    with pytest.raises(ValidationError, match="not one of UNROLL_API_KEYS"):
        Settings(api_keys=(SecretStr(CLIENT_KEY),), admin_key=SecretStr(CLIENT_KEY))
    Settings(api_keys=(SecretStr(CLIENT_KEY),), admin_key=SecretStr("the-key-of-the-operator"))

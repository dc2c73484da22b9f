"""Runs the curl commands of a page, in their order, against a service of the pretrained models."""

from __future__ import annotations

import json
import subprocess

from tests.readme.examples import Example, with_state

PRINTED_ADDRESS = "http://127.0.0.1:8000"
SECONDS = 60


class Reader:
    """Runs commands one after the other, and keeps the state that was last returned."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self.state = ""

    def ask(self, example: Example) -> str:
        """The answer to a curl command, in full."""
        (words,) = example.calls
        words = [with_state(word, self.state) for word in words]
        words = [word.replace(PRINTED_ADDRESS, self._address) for word in words]
        answer = subprocess.run(
            [*words, "--silent", "--show-error", "--noproxy", "*", "--max-time", str(SECONDS)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        if answer.startswith("{"):
            self.state = json.loads(answer).get("state", self.state)
        return answer.replace(self._address, PRINTED_ADDRESS)

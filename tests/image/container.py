"""A running container of the service: asked from inside, since it has no network but loopback."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.image.engine import Engine

READY_SECONDS = 180
# 127.0.0.2 is answered only where the service listens on all addresses.
ASK = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.2:8000" + sys.argv[1])
if len(sys.argv) > 2:
    request.data = sys.argv[2].encode()
    request.add_header("Content-Type", "application/json")
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""


class Container:
    """A container by its name."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    def execute(self, *command: str, check: bool = True) -> str:
        """What a command in the container prints."""
        return self.engine.run("exec", self.name, *command, check=check).stdout

    def python(self, program: str, *arguments: str) -> str:
        """What a Python program in the container prints."""
        return self.execute("python", "-c", program, *arguments)

    def ask(self, path: str, **fields: Any) -> Any:
        """The JSON answer of the service; a POST where there are fields."""
        body = [json.dumps(fields)] if fields else []
        return json.loads(self.python(ASK, path, *body))

    def wait_until_healthy(self) -> None:
        """Returns when the HEALTHCHECK succeeds; fails with the log when that does not happen."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.engine.is_healthy(self.name):
            assert self.is_running(), self.engine.logs(self.name)
            assert time.monotonic() < deadline, self.engine.logs(self.name)
            time.sleep(0.5)

    def is_running(self) -> bool:
        """Whether its process has not ended."""
        return bool(self.engine.inspect(self.name)["State"]["Running"])

"""A server of canned streams, which measures the speed of the load generator itself.

    python -m benchmarks.peers.canned PORT TOKENS TOKENS_PER_WRITE

It answers every POST with the same tokens, TOKENS_PER_WRITE in a write, without pauses.
"""

import asyncio
import sys
from typing import cast

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
TOKEN = b'data: {"index":0,"text":" baba"}\n\n'
LAST = b'data: {"index":0,"finish_reason":"length","usage":{},"seed":0}\n\n'


def writes_of(tokens: int, per_write: int) -> list[bytes]:
    """The writes of one answer."""
    whole, rest = divmod(tokens, per_write)
    return [*[TOKEN * per_write] * whole, TOKEN * rest + LAST]


class CannedResponse(asyncio.Protocol):
    """A connection with one request."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(HEAD)
        if data.startswith(b"GET"):  # the check whether the server is ready
            self.transport.close()
        else:
            self.send(0)

    def send(self, index: int) -> None:
        """Sends one write and schedules the next one after those of other connections."""
        if self.transport.is_closing():
            return
        self.transport.write(self.pieces[index])
        if index + 1 < len(self.pieces):
            asyncio.get_running_loop().call_soon(self.send, index + 1)
        else:
            self.transport.close()


async def serve(port: int, tokens: int, per_write: int) -> None:
    """Serves until the process is terminated."""
    pieces = writes_of(tokens, per_write)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: CannedResponse(pieces), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(*map(int, sys.argv[1:4])))

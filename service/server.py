"""The server process: binds a socket, loads models, serves until a signal, and drains.

uvicorn notifies an app of the shutdown only after all connections have closed, and a stream may
never close. This server therefore handles the signal itself: new work gets 503, and running
requests have ``drain_seconds`` to end; then uvicorn stops. A second signal stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import IO, cast

import uvicorn

from model.system.standard_streams import discard_unwritten
from service.app import create_app
from service.backend.early_loading import FirstModels
from service.backend.model_loader import return_memory
from service.backend.model_updates import UpdateReport
from service.backend.settings import Settings
from service.banner import startup_banner
from service.http.dependencies import ServiceContext
from service.listening import bind_all, listen
from service.protocol.connection import ConnectionLimits, HttpConnection
from service.protocol.connection_gate import ConnectionGate, connection_limit
from service.supervisor.worker import WorkerProcess
from service.watchdog import Watchdog

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 5
"""Time for clients to receive sent data after the last request has ended."""


class DrainingServer(uvicorn.Server):
    """uvicorn with a drain between the first signal and the shutdown."""

    def __init__(
        self,
        config: uvicorn.Config,
        context: ServiceContext,
        output: IO[str],
        worker: WorkerProcess | None = None,
    ) -> None:
        super().__init__(config)
        self._worker = worker
        self._context = context
        self._output = output
        self._signals = 0
        self._watchdog: Watchdog | None = None
        self._reload: asyncio.Task[UpdateReport] | None = None
        self._drain: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn. Prints the banner once requests are accepted."""
        await super().startup(sockets if self._worker is None else [])
        gc.enable()  # see service/__main__.py
        return_memory()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload_models)
        settings = self._context.settings
        self._watchdog = Watchdog(self._context.engine, loop, settings.heartbeat_seconds)
        self._watchdog.start()
        for listener in (sockets or [])[:1]:
            host, port = listener.getsockname()[:2]
            banner = startup_banner(self._context, host, port)
            if self._worker is None:
                self._announce(banner)
            else:
                self._join(self._worker, banner, sockets or [])
        if self._context.admin.port is not None:
            logger.info("POST /admin/reload is served at 127.0.0.1:%d", self._context.admin.port)

    def _join(self, worker: WorkerProcess, banner: str, sockets: list[socket.socket]) -> None:
        def connection() -> asyncio.Protocol:
            state, app_state = self.server_state, self.lifespan.state
            make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
            return make(config=self.config, server_state=state, app_state=app_state)

        worker.join(self._context, banner, sockets, connection, self._stop)

    def _stop(self, at_once: bool) -> None:
        """Called by the supervisor of several workers."""
        self._signals = max(1, self._signals)
        if at_once:
            self.force_exit = self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn."""
        if self._worker is not None:
            self._worker.close()
        await super().shutdown(sockets)

    def _reload_models(self) -> None:
        """Called on SIGHUP."""
        logger.info("SIGHUP: comparing the folder of models")
        siblings, updates = self._context.processes.siblings, self._context.updates
        whole = updates.update(at_once=True) if siblings is None else siblings.reload()
        self._reload = asyncio.ensure_future(whole)

    def _announce(self, text: str) -> None:
        """Print the text. If standard output cannot be written, the server continues."""
        try:
            self._output.write(text)
            self._output.flush()
        except (OSError, UnicodeEncodeError) as error:
            logger.warning("standard output cannot be written: %s", error)
            discard_unwritten()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Called by the interpreter on SIGINT and SIGTERM. Of several workers each gets them more
        than once where a whole group of processes is stopped: only their supervisor counts them.
        """
        if self._worker is not None:
            self._stop(at_once=False)
            return
        self._signals += 1
        if self._signals > 1:
            self.force_exit = self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second. Returns True to end the server."""
        if self._worker is not None:
            self._worker.beat()
        if self._signals and self._drain is None:
            self._drain = asyncio.create_task(self._drain_then_exit())
        return await super().on_tick(counter)

    async def _drain_then_exit(self) -> None:
        seconds = self._context.settings.drain_seconds
        logger.info("draining: running requests have %g seconds to end", seconds)
        ended = await self._context.engine.stop(seconds)
        logger.info("drained" if ended else "drained: some requests were cut short")
        if self._watchdog is not None:
            self._watchdog.expect_end()
        self.should_exit = True


def serve(
    settings: Settings,
    models: Callable[[], FirstModels] | None = None,
    worker: WorkerProcess | None = None,
) -> None:
    """Serve until a signal, as one of several workers or alone. ``models`` waits for the
    artifacts, if they are being read.

    Raises BindError, RegistryError or StartError if it cannot start, OSError or RuntimeError if
    the system lacks resources.
    """
    with contextlib.ExitStack() as opened:
        if worker is None:
            listeners = bind_all(settings, opened)
        else:
            settings, listeners = worker.settings(settings), worker.sockets(opened)
        first = None if models is None else models()
        gc.collect()
        gc.freeze()  # exempts modules, and not models, from later collections
        app = create_app(settings, first)
        context: ServiceContext = app.state.context
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=_protocol(context, worker),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=_FLUSH_SECONDS,
        )
        for listener in listeners:
            listen(listener, config.backlog)
        if settings.admin_port is not None:
            context.admin.port = listeners[1].getsockname()[1]
        server = DrainingServer(config, context, sys.stdout, worker)
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            server.run(sockets=listeners)
        if not server.started:
            raise RuntimeError("the server did not start; see the messages above")


def _protocol(context: ServiceContext, worker: WorkerProcess | None) -> type[asyncio.Protocol]:
    """The class that uvicorn calls for each connection, with its limits bound."""
    settings = context.settings
    limits = ConnectionLimits(
        head_bytes=settings.max_head_bytes,
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        write_seconds=settings.write_seconds,
        access_log=settings.access_log,
        on_stall=functools.partial(context.metrics.slow_reader, "no_progress"),
    )
    limit = connection_limit(settings.max_connections)
    gate = ConnectionGate(limit) if worker is None else worker.gate(limit)
    protocol = functools.partial(HttpConnection, limits=limits, gate=gate)
    return cast("type[asyncio.Protocol]", protocol)

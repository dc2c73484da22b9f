"""Sockets that the service listens on, without a web framework.

The supervisor of several workers binds them, and its process stays small.
"""

from __future__ import annotations

import contextlib
import socket

from service.backend.settings import Settings

_LOCAL = "127.0.0.1"
_SEND_BUFFER_BYTES = 1 << 18


class BindError(Exception):
    """The address cannot be listened on; the message contains the reason and the remedy."""


def bind_all(settings: Settings, opened: contextlib.ExitStack) -> list[socket.socket]:
    """The sockets of the service: its port and, if there is one, the port for the operator. They
    are closed with ``opened``. Raises BindError.
    """
    listeners = [opened.enter_context(bind_socket(settings.host, settings.port))]
    if settings.admin_port is not None:
        listeners.append(opened.enter_context(bind_socket(_LOCAL, settings.admin_port)))
    return listeners


def listen(listener: socket.socket, backlog: int) -> None:
    """Listen on a bound socket. If two processes have bound one port, the second fails here.
    Raises BindError.
    """
    try:
        listener.listen(backlog)
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise BindError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
        ) from error


def bind_socket(host: str, port: int) -> socket.socket:
    """A socket bound to the address, before any slow work. Raises BindError."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit this size. By default the unread data of a client can be megabytes.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        listener.bind(address)
    except (OSError, ValueError) as error:  # ValueError: an invalid host name
        if listener is not None:
            listener.close()
        hint = "choose another --host" if port == 0 or listener is None else "choose another --port"
        reason = getattr(error, "strerror", None) or error
        raise BindError(f"cannot listen on {host}:{port}: {reason}; {hint}") from error
    return listener

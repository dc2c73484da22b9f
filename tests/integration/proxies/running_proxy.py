"""HAProxy and Envoy in front of services, with the configurations of ``deploy/``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import yaml

from tests.support.repository import ROOT
from tests.support.service.process import PATIENCE, eventually

_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
_LOCAL = "127.0.0.1"


def program_of(proxy: str) -> str | None:
    """The path of ``haproxy`` or ``envoy``; None if it is not installed."""
    return shutil.which(proxy, path=_PATH)


@contextmanager
def running_proxy(proxy: str, ports: Sequence[int], folder: Path) -> Iterator[httpx.Client]:
    """A client whose requests go through the proxy to services on these ports of this machine."""
    program = program_of(proxy)
    assert program is not None
    with socket.create_server((_LOCAL, 0)) as listener:
        port = listener.getsockname()[1]
        inherited: tuple[int, ...] = ()
        if proxy == "envoy":  # it binds the port itself
            listener.close()
            command, environment = [program, *_envoy(folder, ports, port)], {}
        else:
            command = [program, *_haproxy(folder, ports)]
            environment = {"UNROLL_BIND": f"fd@{listener.fileno()}"}
            inherited = (listener.fileno(),)
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                command,
                env=os.environ | environment,
                pass_fds=inherited,
                stdout=log,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            limits = httpx.Limits(max_connections=None)
            url = f"http://{_LOCAL}:{port}"
            try:
                with httpx.Client(
                    base_url=url, timeout=PATIENCE, limits=limits, trust_env=False
                ) as client:
                    eventually(lambda: _is_ready(process, client), "the proxy forwards requests")
                    yield client
            finally:
                process.kill()


def _is_ready(process: subprocess.Popen[bytes], client: httpx.Client) -> bool:
    assert process.poll() is None, "the proxy has ended; see the file log in its folder"
    with suppress(httpx.TransportError):
        return client.get("/health/ready").status_code == 200
    return False


def _haproxy(folder: Path, ports: Sequence[int]) -> list[str]:
    """The arguments of HAProxy: the frontend of ``deploy/`` and a backend of these ports."""
    servers = "".join(f"  server replica-{port} {_LOCAL}:{port}\n" for port in ports)
    replicas = folder / "replicas.cfg"
    replicas.write_text(f"backend replicas from unroll\n{servers}")
    return ["-f", str(ROOT / "deploy" / "haproxy" / "haproxy.cfg"), "-f", str(replicas)]


def _envoy(folder: Path, ports: Sequence[int], port: int) -> list[str]:
    """The arguments of Envoy: the bootstrap of ``deploy/`` with other addresses."""
    bootstrap = yaml.safe_load((ROOT / "deploy" / "envoy" / "envoy.yaml").read_text())
    resources = bootstrap["static_resources"]
    (listener,), (cluster,) = resources["listeners"], resources["clusters"]
    listener["address"]["socket_address"] = {"address": _LOCAL, "port_value": port}
    cluster["type"] = "STATIC"
    (group,) = cluster["load_assignment"]["endpoints"]
    group["lb_endpoints"] = [
        {"endpoint": {"address": {"socket_address": {"address": _LOCAL, "port_value": number}}}}
        for number in ports
    ]
    config = folder / "envoy.yaml"
    config.write_text(yaml.safe_dump(bootstrap))
    return ["-c", str(config), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warn"]

"""The deployments that are compared. Each has the same number of threads in all."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.harness.command import ROOT
from benchmarks.harness.servers import (
    SERVICE_COMMAND,
    ServerSpec,
    free_port,
    start_server,
    terminate,
    wait_until_ready,
)

HAPROXY_CONFIGURATION = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
REPLICA = ServerSpec(
    name="replica",
    command=(*SERVICE_COMMAND, "--threads", "{threads}"),
    path="",
    ready="/health/ready",
)
RAY_SERVE = ServerSpec(
    name="Ray Serve",
    command=("benchmarks.peers.ray_serve", "{artifact}", "{port}", "{replicas}"),
    path="",
    ready="/health/ready",
)


@contextlib.contextmanager
def behind_haproxy(models: Path, replicas: int, threads: int, folder: Path) -> Iterator[int]:
    """The port of HAProxy, with the frontend of `deploy/haproxy`, in front of replicas.

    Args:
        models: directory of the artifacts.
        replicas: their number.
        threads: of each replica.
        folder: for logs and the list of the replicas.
    """
    program = shutil.which("haproxy", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    if program is None:
        raise SystemExit("haproxy is not installed: install it, for example with apt-get")
    log = folder / f"haproxy-{replicas}.log"
    with contextlib.ExitStack() as stack:
        ports = [
            stack.enter_context(
                start_server(REPLICA, {"artifact": models, "threads": threads}, log)
            ).port
            for _ in range(replicas)
        ]
        backend = folder / f"replicas-{replicas}.cfg"
        servers = "".join(f"  server replica-{port} 127.0.0.1:{port}\n" for port in ports)
        backend.write_text(f"backend replicas from unroll\n{servers}", encoding="utf-8")
        port = free_port()
        output = stack.enter_context(log.open("ab"))
        proxy = subprocess.Popen(
            [program, "-db", "-f", str(HAPROXY_CONFIGURATION), "-f", str(backend)],
            env={**os.environ, "UNROLL_BIND": f"127.0.0.1:{port}"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(proxy, f"http://127.0.0.1:{port}/health/ready", log)
            yield port
        finally:
            terminate(psutil.Process(proxy.pid))
            proxy.wait()


@contextlib.contextmanager
def behind_ray(models: Path, replicas: int, folder: Path) -> Iterator[int]:
    """The port of Ray's proxy in front of replicas of one thread, as in `deploy/ray`."""
    placeholders = {"artifact": models, "replicas": replicas}
    with start_server(RAY_SERVE, placeholders, folder / "ray.log") as server:
        yield server.port

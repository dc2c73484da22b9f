"""The service as an application of Ray Serve, with a fixed number of replicas of one thread.

    python -m benchmarks.peers.ray_serve MODELS PORT REPLICAS

Ray has one node, this machine. The application is that of `deploy/ray`.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Serves until SIGTERM."""
    models, port, replicas = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ended = threading.Event()
    os.environ.update(
        UNROLL_MODELS=str(Path(models).absolute()),
        UNROLL_THREADS="1",
        RAY_USAGE_STATS_ENABLED="0",
        RAY_worker_niceness="0",  # 15 without it: any other program would come first
        PYTHONPATH=str(ROOT),
    )
    # Both read the variables when they are imported.
    import ray  # noqa: PLC0415
    from ray import serve  # noqa: PLC0415

    from deploy.ray.serve_app import Unroll  # noqa: PLC0415

    ray.init(num_cpus=replicas, include_dashboard=False, log_to_driver=False)
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    scaling = {"min_replicas": replicas, "max_replicas": replicas}
    deployment: Any = Unroll  # serve.deployment is untyped
    serve.run(deployment.options(autoscaling_config=scaling).bind(), route_prefix="/")
    ended.wait()
    ray.shutdown()


if __name__ == "__main__":
    main()

"""Unroll as an application of Ray Serve (2.60): ``serve run deploy.ray.serve_app:app``.

Each replica is the whole service, with its engine, in one actor. Ray starts replicas, sends
requests to them and counts those that run and wait. Settings are the variables ``UNROLL_*`` of
every node. ``UNROLL_STATE_KEY`` is required, so that replicas continue the states of each other.
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from ray import serve

CPUS = int(os.environ.get("UNROLL_THREADS", "2"))


def build_app() -> FastAPI:
    """The service of one replica. Raises RuntimeError without a key for states."""
    from service.app import create_app  # noqa: PLC0415 the driver needs no models
    from service.backend.settings import Settings  # noqa: PLC0415

    settings = Settings(threads=CPUS)
    if not settings.state_key.get_secret_value():
        raise RuntimeError(
            "UNROLL_STATE_KEY is not set: replicas could not continue the states of the others; "
            "make one with: openssl rand -hex 32"
        )
    return create_app(settings)


@serve.deployment(
    ray_actor_options={"num_cpus": CPUS},
    # Ray counts requests that run and wait, in the engine and before it. A replica has 64 rows.
    autoscaling_config={
        "min_replicas": 2,
        "max_replicas": 16,
        "target_ongoing_requests": 48,
        "upscale_delay_s": 5,
        "downscale_delay_s": 300,
    },
    # The engine has a queue of its own that is fair by client, so Ray passes all requests on.
    max_ongoing_requests=1000,
    # Ray tells a replica that it ends after its requests have ended, and kills it after this time.
    graceful_shutdown_timeout_s=600,
    health_check_period_s=5,
    health_check_timeout_s=10,
)
@serve.ingress(build_app)
class Unroll:
    """A replica."""

    app: Any  # set by serve.ingress

    def check_health(self) -> None:
        """Raises RuntimeError if the step loop no longer moves; Ray then replaces the replica."""
        context = self.app.state.context
        age = context.engine.heartbeat_age()
        if age > context.settings.heartbeat_seconds:
            raise RuntimeError(f"the step loop has not moved for {age:.1f} seconds")


app = Unroll.bind()  # type: ignore[attr-defined] # serve.deployment is untyped here

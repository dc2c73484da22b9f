"""What every test shares: one thread for torch and a hypothesis profile that repeats itself.

Knows nothing of any room: fixtures of a room live beside its tests.
"""

import os

# Set before torch is imported anywhere: small matrices on a busy machine gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

# No deadline: it would depend on the machine. Derandomized: a failure seen once is seen again.
settings.register_profile(
    "unroll",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unroll")

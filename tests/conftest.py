"""Settings of all tests: one thread for torch, a deterministic hypothesis profile, default signals.

Fixtures are defined in the conftest.py of the packages that use them.
"""

import os
import signal

# Set before torch is imported: small matrices gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

# A parent such as nohup or a shell's background job ignores or blocks these signals, and processes
# inherit that: commands under test would not react to them.
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# No deadline: it would depend on the machine. Derandomized: a failure is reproducible.
settings.register_profile(
    "unroll",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unroll")

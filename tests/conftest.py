"""Settings of all tests: one thread for torch, a deterministic hypothesis profile, default signals.

Fixtures are defined in the conftest.py of the packages that use them.
"""

import os
import signal

# Set before torch is imported: small matrices gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A parent such as nohup or a shell's background job ignores or blocks these signals, and processes
# inherit that: commands under test would not react to them.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
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


@pytest.fixture(autouse=True)
def restored_signals() -> Iterator[None]:
    """Handlers that a command sets in this process end with its test: a later test could start a
    process that inherits an ignored signal.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)

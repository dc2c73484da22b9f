"""Runs the training command with a synthetic clock: ``LEAP SEED COMMAND OPTIONS ...``.

The first readings of the clock are LEAP seconds apart, the others some hundredths of a second,
drawn by SEED. So the readings do not depend on the speed of the machine.
"""

import random
import sys
import time
from collections.abc import Iterator

LEAPS = 8


def passing(leap: float, seed: int) -> Iterator[float]:
    """The readings of the clock."""
    chance, now, looks = random.Random(seed), 0.0, 0
    while True:
        now += leap if looks < LEAPS else chance.uniform(0.001, 0.03)
        looks += 1
        yield now


if __name__ == "__main__":
    seconds = passing(float(sys.argv[1]), int(sys.argv[2]))
    time.monotonic = time.perf_counter = seconds.__next__
    from training.commands.cli import main

    sys.exit(main(sys.argv[3:]))

"""``python -m unroll``: see ``unroll.cli``."""

import sys

from unroll.cli import main

if __name__ == "__main__":
    sys.exit(main())

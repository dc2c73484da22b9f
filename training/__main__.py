"""``python -m training``: see ``training.commands``."""

import sys

from model.standard_streams import run_command
from training.commands import main

if __name__ == "__main__":
    sys.exit(run_command(main))

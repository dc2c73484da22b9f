"""``python -m training``: runs `training.commands.cli`."""

import sys

from model.system.standard_streams import run_command
from training.commands.cli import main

if __name__ == "__main__":
    sys.exit(run_command(main))

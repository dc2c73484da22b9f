"""Options of each command: names, defaults, ranges and help. It imports no torch."""

"""Options of each command: names, defaults, ranges and help. Imports no torch."""

"""Runs the commands of the documentation and compares the answers; ``make readme`` writes them."""

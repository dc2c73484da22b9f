"""Processes that are killed, interrupted, distributed, out of disk, or hang."""

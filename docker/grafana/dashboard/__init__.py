"""Writes dashboards/unroll.json: `make dashboard`."""

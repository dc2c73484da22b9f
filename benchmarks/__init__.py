"""Measures the service beside named peers, and training beside a plain script, on this machine."""

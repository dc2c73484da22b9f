"""Benchmarks of the service and of training beside named peers on the same machine."""

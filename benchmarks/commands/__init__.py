"""Benchmark commands, one in each module: options, measurement and report."""

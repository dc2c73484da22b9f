"""Tests of ``benchmarks.measurements``."""

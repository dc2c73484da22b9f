"""Tests of ``benchmarks.measurements.training``."""

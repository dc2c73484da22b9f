"""Tests of ``benchmarks.harness``."""

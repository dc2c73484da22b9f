"""Tests of ``benchmarks.peers``."""

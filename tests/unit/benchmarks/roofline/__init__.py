"""Tests of ``benchmarks.roofline``."""

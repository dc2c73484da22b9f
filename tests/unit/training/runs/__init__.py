"""Tests of ``training.runs``."""

"""Tests of ``training.readers``."""

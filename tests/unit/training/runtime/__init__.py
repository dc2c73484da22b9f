"""Tests of ``training.runtime``."""

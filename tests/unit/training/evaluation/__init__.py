"""Tests of ``training.evaluation``."""

"""Tests of ``training.evaluation.units``."""

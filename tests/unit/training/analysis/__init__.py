"""Tests of ``training.analysis``."""

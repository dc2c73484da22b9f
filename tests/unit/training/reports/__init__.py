"""Tests of ``training.reports``."""

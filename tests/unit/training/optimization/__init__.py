"""Tests of ``training.optimization``."""

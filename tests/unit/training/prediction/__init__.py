"""Unit tests of the package ``training.prediction``."""

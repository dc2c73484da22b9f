"""Tests of ``model.tokenization``."""

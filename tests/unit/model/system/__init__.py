"""Tests of ``model.system``."""

"""Tests of ``model.storage``."""

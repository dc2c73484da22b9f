"""Tests of ``model.words``."""

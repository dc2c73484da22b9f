"""Tests of ``model.units``."""

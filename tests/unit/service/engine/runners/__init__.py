"""Tests of ``service.engine.runners``."""

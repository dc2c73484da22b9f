"""Tests of ``service.engine.sequences``."""

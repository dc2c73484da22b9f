"""Tests of ``service.engine.scheduling``."""

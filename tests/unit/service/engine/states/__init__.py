"""Tests of ``service.engine.states``."""

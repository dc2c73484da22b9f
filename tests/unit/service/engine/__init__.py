"""Tests of ``service.engine``."""

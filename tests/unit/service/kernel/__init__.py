"""Tests of ``service.kernel``."""

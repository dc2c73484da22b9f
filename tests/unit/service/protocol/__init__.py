"""Tests of ``service.protocol``."""

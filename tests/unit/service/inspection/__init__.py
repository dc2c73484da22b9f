"""Tests of ``service.inspection``."""

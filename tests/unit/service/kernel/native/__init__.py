"""Tests of ``service.kernel.native``."""

"""Tests of ``service.kernel.api``."""

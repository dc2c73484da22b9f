"""Tests of ``service.kernel.pytorch``."""

"""Tests of ``service.kernel.documents``."""

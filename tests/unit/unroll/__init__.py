"""Unit tests of the package ``unroll``."""

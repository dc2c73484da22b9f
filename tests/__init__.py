"""Tests: ``unit`` mirrors the sources; the other packages test several packages together."""

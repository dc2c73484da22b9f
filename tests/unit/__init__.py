"""Tests of one module each; the folders mirror the sources."""

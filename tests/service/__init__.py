"""Tests of the rooms of the same names."""

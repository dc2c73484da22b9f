"""Tests of `model.memory`."""

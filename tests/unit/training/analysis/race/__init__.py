"""Tests of `training.analysis.race`."""

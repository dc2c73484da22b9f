"""Tests of `training.reports.race`."""

"""Tests of thresholds and metrics of multi-label classifiers."""

"""Metrics of trained models and the results of `evaluate` and `agreement`."""

"""Metrics of trained models and the results that the commands report."""

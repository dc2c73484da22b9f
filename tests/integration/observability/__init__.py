"""Metrics, dashboard, alerts, logs and traces of a real service."""

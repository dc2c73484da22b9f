"""Provisioning and dashboard of Grafana."""

"""Prometheus, a collector of traces, and a service with faults."""

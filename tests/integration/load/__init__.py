"""Clients, their limits, and load: refusals, and what the service holds over time."""

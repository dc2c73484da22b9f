"""Clients, processes, artifacts and references that tests share."""

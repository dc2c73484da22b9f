"""Serving: loads artifacts and answers HTTP requests."""

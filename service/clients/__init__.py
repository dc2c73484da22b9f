"""Clients: their API keys and their rate limits."""

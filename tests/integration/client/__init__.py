"""The Python client with real services."""

"""The service's routes and its operation."""

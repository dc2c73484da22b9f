"""HTTP around the routes: schemas, errors, API keys, bounds of requests, and responses."""

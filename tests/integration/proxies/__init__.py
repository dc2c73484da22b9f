"""Replicas behind real proxies, with the configurations of `deploy/`."""

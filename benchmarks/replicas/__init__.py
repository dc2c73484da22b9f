"""Replicas behind a proxy and behind Ray Serve, beside one replica."""

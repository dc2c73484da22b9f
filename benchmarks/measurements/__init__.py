"""Measurements as functions, without command line and tables."""

"""The measurements, each one as functions."""

"""Promises that hold from training to the wire, kept by real processes."""

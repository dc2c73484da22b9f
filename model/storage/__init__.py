"""Artifacts on disk, read with NumPy. Importing this package loads no torch."""

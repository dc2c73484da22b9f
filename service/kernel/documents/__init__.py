"""Documents that are read part by part, with NumPy."""

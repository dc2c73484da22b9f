"""The machine's own limits: what a kernel could reach."""

"""Load over time: what a service holds returns to what it was. `make soak` runs the long forms."""

"""The sequences of each kind of request: generation, scoring and next words."""

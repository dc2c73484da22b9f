"""Training and serving together, through artifacts alone."""

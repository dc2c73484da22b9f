"""A run's directory: checkpoint, lock, history, progress and the exported artifact."""

"""The directory of a run: checkpoint, lock, log, progress and artifact."""

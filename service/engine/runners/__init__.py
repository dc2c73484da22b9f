"""The engine's loop and the runner of each kind of model."""

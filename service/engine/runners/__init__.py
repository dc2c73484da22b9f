"""The engine's loop and the runners of each kind of model."""

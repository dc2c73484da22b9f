"""Tasks, events, errors and options: the interface of the engine."""

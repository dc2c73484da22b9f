"""Tasks, events, errors and options: what a user of the engine sees."""

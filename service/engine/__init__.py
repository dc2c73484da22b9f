"""The engine: sequences, scheduling and the step loop, without HTTP."""

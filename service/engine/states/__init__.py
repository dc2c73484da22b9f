"""Sequence states: the prefix cache, the reading of prompts, and state tokens."""

"""Recurrent states that are kept: the prefix cache and state tokens."""

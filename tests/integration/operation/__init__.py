"""Tests of the operation of a running service: updates, restarts, failures."""

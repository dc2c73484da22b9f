"""Tests that start commands, servers or process groups."""

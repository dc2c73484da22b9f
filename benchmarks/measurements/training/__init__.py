"""Trainings beside their peers: time, and quality on the same splits."""

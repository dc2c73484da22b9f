"""Tests: one package for each room, and what holds between rooms."""

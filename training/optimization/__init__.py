"""Losses, schedules, gradient clipping, parameter groups and weight averaging."""

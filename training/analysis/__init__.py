"""Gradients through time, gates and context, measured on short runs."""

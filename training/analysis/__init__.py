"""Gradients through time, gate saturation and effective context of networks (`gradients`)."""

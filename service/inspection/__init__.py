"""Activations, gradients and interventions of a served model, computed in float32 with torch."""

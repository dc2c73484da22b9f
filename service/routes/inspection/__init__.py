"""``POST /inspect`` and the routes below it: activations, gradients and interventions."""

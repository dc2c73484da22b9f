"""How far two states are apart, and for how long."""

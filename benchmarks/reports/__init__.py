"""Results of a measurement as tables and plots."""

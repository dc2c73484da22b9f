"""What one request computes: generation, scoring, and next words."""

"""Words as vectors: neighbors and maps."""

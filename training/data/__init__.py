"""Training data: splits, vocabularies, token streams and batches."""

"""Records to batches: splits, vocabularies, tokenized corpora and batching."""

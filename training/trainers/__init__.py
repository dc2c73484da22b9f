"""The training of a language model and of a classifier."""

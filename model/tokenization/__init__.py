"""Tokenizers: training, encoding and decoding, and the checks of a tokenizer file."""

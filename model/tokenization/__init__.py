"""Tokenizers: encoding and decoding, training, and the validation of tokenizer files."""

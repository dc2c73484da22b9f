"""Readers of text, JSON lines, tables, word vectors and minimal pairs."""

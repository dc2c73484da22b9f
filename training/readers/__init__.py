"""Files to records: text, JSON lines, tables, word vectors and sentence pairs."""

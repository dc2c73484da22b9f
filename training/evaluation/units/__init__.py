"""Units of a language model: the search and the data of plates."""

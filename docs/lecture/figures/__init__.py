"""One module for the figure of each page: ``measure`` computes numbers, ``paint`` draws them."""

"""The race of the cells on a terminal and as a page."""

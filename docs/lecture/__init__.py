"""The lecture as a book: pages, and the programs that make their figures and numbers."""

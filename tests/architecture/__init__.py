"""What must hold for the tree as a whole: who imports whom, and how files are written."""

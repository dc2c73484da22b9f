"""The race of the cells: networks that learn, side by side, to recall a symbol."""

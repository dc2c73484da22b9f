"""Units of recurrent layers: markings of a text, and the units that follow them."""

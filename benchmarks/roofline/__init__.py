"""The roofline model: the machine's limits, and the bound of a kernel's step under them."""

"""Several worker processes behind one port, and the process that starts and watches them."""

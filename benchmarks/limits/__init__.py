"""What this machine can do at most: a C++ program that measures it, and the arithmetic after it."""

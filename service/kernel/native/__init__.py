"""The native kernel in C++ and its binding."""

"""The native kernel in C++ and its ctypes binding."""

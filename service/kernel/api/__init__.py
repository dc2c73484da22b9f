"""The kernel interface, and the checks, filters and packing that all kernels share."""

"""The interface of a kernel, and what all kernels share."""

"""Kernels: one step of many rows behind one interface."""

"""The reference kernel in PyTorch."""

"""Unit tests of the package ``training.onnx_export``."""

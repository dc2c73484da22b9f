"""The container image, built from a clean copy of the tree and run by a real container engine."""

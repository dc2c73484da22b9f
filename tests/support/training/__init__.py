"""Support for tests of training."""

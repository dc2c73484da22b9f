"""Support for tests of the service."""

"""Tests of `service.supervisor`."""

"""Tests of service.clients."""

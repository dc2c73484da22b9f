"""Tests of service.backend."""

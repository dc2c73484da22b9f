"""Tests of service.playground."""

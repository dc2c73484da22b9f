"""Tests of service/engine/constraints."""

"""Tests of training: readers, batches, runs, and that a killed run goes on as if unbroken."""

"""Tests of the views that show the lecture."""

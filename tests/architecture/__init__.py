"""Tests of the repository as a whole: imports, names, sizes, containers and image sources."""

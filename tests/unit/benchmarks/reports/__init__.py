"""The reports of the benchmarks."""

"""The peers of the benchmarks: servers, classifiers and a training script of other libraries."""

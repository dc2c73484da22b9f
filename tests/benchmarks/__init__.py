"""The pure parts of the benchmarks: statistics, arithmetic, parsing, tables. Nothing is timed."""

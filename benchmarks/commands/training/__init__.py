"""Commands that train models, or build artifacts, to compare their quality."""

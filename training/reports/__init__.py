"""Results as HTML pages, plots and files of numbers."""

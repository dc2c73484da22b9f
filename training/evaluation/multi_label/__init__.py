"""Multi-label classifiers: thresholds of the labels, and metrics of sets of labels."""

"""What the service tells about itself: histograms, log lines, request ids and traces."""

"""One step of many rows behind one interface. Knows no requests, no queues, no text."""

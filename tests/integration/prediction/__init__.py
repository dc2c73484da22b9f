"""``predict`` as a command, compared with the service and killed."""

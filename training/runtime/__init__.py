"""The process that trains: threads, number formats, random state, signals and process groups."""

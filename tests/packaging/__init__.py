"""The distribution, its metadata and the automation around the repository."""

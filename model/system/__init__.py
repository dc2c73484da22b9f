"""The operating system: CPU quota, standard streams and reading of untrusted files."""

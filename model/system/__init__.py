"""The process's environment: processors, standard streams and files from others."""

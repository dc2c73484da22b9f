"""The console command ``unroll``, one entry point for ``training`` and ``service``."""

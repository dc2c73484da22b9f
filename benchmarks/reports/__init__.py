"""Reports of measurements: tables and figures."""

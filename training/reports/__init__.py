"""Report pages and plots of the measuring commands."""

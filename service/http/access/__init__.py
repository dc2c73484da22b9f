"""Who may use which routes."""

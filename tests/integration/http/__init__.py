"""The HTTP layer under correct and hostile clients."""

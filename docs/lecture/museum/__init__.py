"""Training runs that fail for one reason each, beside the same run without the fault."""

"""Child processes in which user code runs."""

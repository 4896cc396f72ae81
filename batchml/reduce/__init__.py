"""From the registry back to results."""

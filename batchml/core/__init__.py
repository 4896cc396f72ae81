"""Values and contracts of the machine-learning vocabulary."""

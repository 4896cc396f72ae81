"""Parameter spaces."""

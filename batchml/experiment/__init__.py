"""Designs, and running and summarising them in the session."""

"""Data backends and the task data that ships or is cached."""

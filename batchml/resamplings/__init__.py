"""Resamplings."""

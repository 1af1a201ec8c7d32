"""Measurements as ratios, printed as a table: python -m tests.bench."""

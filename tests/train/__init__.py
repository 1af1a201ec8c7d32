"""Tests of the trainer and its command line."""

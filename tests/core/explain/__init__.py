"""Tests of core.explain."""

"""Tests of core.predict."""

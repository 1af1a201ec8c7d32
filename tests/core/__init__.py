"""Tests of core: everything that is true without a screen."""

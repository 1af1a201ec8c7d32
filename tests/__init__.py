"""Tests of the whole project; the folders mirror core and train."""

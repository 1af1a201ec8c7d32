"""Run folders: what a trainer writes and anyone may read."""

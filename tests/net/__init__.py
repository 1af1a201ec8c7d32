"""Getting datasets, against servers on this machine that behave as badly as real ones."""

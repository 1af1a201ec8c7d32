"""Datasets: the metadata table, splits, pictures and the image store."""

"""Tests against a server that stands in for the Hugging Face Hub."""

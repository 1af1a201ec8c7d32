"""The Train page: runs at the left, one of them large, and how to start another."""

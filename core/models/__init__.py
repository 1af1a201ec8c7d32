"""Networks, their ImageNet weights, and checkpoints."""

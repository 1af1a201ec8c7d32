"""How well a model does, with intervals."""

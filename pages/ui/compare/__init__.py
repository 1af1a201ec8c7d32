"""The parts of the Compare page, one module a view."""

"""The parts of the Explore page: what is explored, its filter, and one module a view."""

"""Critical points of the constrained problem, and how stable they are."""

"""Largest margins, KKT points and the limit of a direction."""

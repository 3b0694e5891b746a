"""Daskalakis, Panageas, "Last-iterate convergence: zero-sum games and constrained min-max optimization" (ITCS 2019)."""

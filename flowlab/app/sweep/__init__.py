"""Sweeps: one specification at many values of its keys, point by point, on one machine or many."""

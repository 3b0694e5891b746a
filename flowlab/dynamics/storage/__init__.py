"""Rows and checkpoints of a run, in memory and on disk."""

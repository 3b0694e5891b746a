"""Curves of critical points as a norm or a penalty changes."""

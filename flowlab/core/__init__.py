"""Errors, registries, precision, hashing and provenance; no science."""

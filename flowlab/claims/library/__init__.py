"""Packs of claims, one per paper."""

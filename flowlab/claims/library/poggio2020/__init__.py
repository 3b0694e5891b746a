"""Poggio, Banburski and Liao, "Theoretical issues in deep networks" (PNAS 2020), and the dynamics behind it."""

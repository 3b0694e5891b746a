"""Poggio, Liao, Banburski, "Complexity control by gradient descent in deep networks" (Nature Communications 2020)."""

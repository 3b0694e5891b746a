"""Bréchet, Papagiannouli, An, Montúfar, "Critical points and convergence analysis of generative deep linear networks
..." (ICML 2023).
"""

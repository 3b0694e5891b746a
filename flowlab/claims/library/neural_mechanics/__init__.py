"""Kunin, Sagastuy-Brena, Ganguli, Yamins, Tanaka, "Neural mechanics: symmetry and broken conservation laws in deep
learning dynamics" (ICLR 2021).
"""

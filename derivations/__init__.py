"""Executable derivations: numbered equations, every step checked by the program when it is written down."""

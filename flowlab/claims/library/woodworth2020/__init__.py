"""Woodworth, Gunasekar, Lee, Moroshko, Savarese, Golan, Soudry, Srebro, "Kernel and rich regimes in overparametrized
models" (COLT 2020).
"""

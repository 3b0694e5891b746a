"""Yin, Lyu, Zhang, Osher, Qi, Xin, "Understanding straight-through estimator in training activation quantized neural
nets" (ICLR 2019).
"""

"""Arora, Cohen, Hazan, "On the optimization of deep networks" (ICML 2018), and its sequels (ICLR 2019 with Golowich and
Hu, NeurIPS 2019 with Hu and Luo).
"""

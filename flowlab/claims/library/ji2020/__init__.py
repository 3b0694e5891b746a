"""Z.

Ji and M. Telgarsky: alignment of the layers of deep linear networks (ICLR 2019), directional convergence and alignment
(NeurIPS 2020).
"""

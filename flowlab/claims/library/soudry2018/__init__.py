"""D.

Soudry, E. Hoffer, M. S. Nacson, S. Gunasekar, N. Srebro, The Implicit Bias of Gradient Descent on Separable Data, JMLR
19 (2018).
"""

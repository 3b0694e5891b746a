"""Du, Hu, Lee, "Algorithmic regularization in learning deep homogeneous models: layers are automatically balanced"
(NeurIPS 2018).
"""

"""S. Gunasekar, J. Lee, D. Soudry and N. Srebro, "Implicit bias of gradient descent on linear convolutional networks",
NeurIPS 2018.
"""

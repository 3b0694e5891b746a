"""K. Lyu and J. Li, "Gradient descent maximizes the margin of homogeneous neural networks", ICLR 2020."""

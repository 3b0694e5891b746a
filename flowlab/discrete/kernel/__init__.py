"""The tangent kernel of a network, by autodiff: at one state, and along a path."""

"""Flows that a node of weights inherits from the flow of the weights: push-forward, mirror coordinate, potential."""

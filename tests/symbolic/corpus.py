"""Architectures that equations are held against autodiff on: written by hand, and drawn from the grammar."""

from typing import Any

import numpy as np

from flowlab import Network, Problem
from flowlab.core.errors import FlowlabError

HAND: tuple[tuple[str, dict[str, Any]], ...] = (
    ("W1 @ x", {}),
    ("W2 @ W1 @ x", {"scheme": "lagrange"}),
    ("W4 @ W3 @ W2 @ W1 @ x", {"loss": "logistic"}),
    ("W2 @ relu(W1 @ x)", {}),
    ("W2 @ relu(W1 @ x)", {"scheme": "lagrange", "loss": "logistic"}),
    ("W2 @ relu(W1 @ x)", {"scheme": "weight_normalization"}),
    ("W2 @ relu(W1 @ x)", {"scheme": "exponential_weight_normalization", "decay": 0.1}),
    ("W2 @ relu(W1 @ x)", {"scheme": "tangent", "reduction": "mean"}),
    ("W2 @ relu(W1 @ x)", {"scheme": "fixed_norm"}),
    ("W2 @ relu(W1 @ x)", {"per": "neuron"}),
    ("W2 @ relu(W1 @ x)", {"per": "neuron", "scheme": "weight_normalization"}),
    ("W2 @ relu(W1 @ x)", {"per": "network"}),
    ("W2 @ relu(W1 @ x)", {"per": "network", "scheme": "lagrange", "decay": 0.05}),
    ("W2 @ relu(W1 @ x)", {"coordinates": "weights", "decay": {"W1": 0.3}}),
    ("W3 @ relu(W2 @ relu(W1 @ x))", {"loss": "square"}),
    ("W5 @ relu(W4 @ relu(W3 @ relu(W2 @ relu(W1 @ x))))", {}),
    ("W2 @ leaky_relu(W1 @ x)", {"scheme": "lagrange"}),
    ("W2 @ leaky_relu(W1 @ x, 0.2)", {"loss": "logistic", "reduction": "mean"}),
    ("W2 @ abs(W1 @ x)", {}),
    ("W2 @ relu(W1 @ x)**2", {}),
    ("W2 @ relu(W1 @ x)**1.5", {"scheme": "lagrange"}),
    ("W2 @ (W1 @ x)**3", {"loss": "logistic"}),
    ("W3 @ relu(W2 @ leaky_relu(W1 @ x, 0.2)**2)", {}),
    ("W2 @ tanh(W1 @ x)", {}),
    ("W2 @ tanh(W1 @ x + b)", {"coordinates": "weights"}),
    ("a @ gelu(W @ x + b) + c", {"coordinates": "weights", "loss": "square"}),
    ("a @ softplus(W @ x)", {"per": "network"}),
    ("a @ sigmoid(W @ x)", {"scheme": "lagrange"}),
    ("W2 @ relu(W1 @ x + b1) + b2", {}),
    ("W2 @ relu(W1 @ x) + W3 @ x", {}),
    ("W2 @ relu(W1 @ x) + W3 @ x", {"per": "network", "scheme": "exponential_weight_normalization"}),
    ("W @ abs(V @ x) + U @ x", {"coordinates": "weights"}),
    ("(W1 @ x) * (W2 @ x)", {}),
    ("sum(relu(W @ x) * (V @ x))", {"scheme": "lagrange"}),
    ("a @ ((W @ x) * sigmoid(V @ x))", {}),
    ("(w * w - u * u) @ x", {"per": "network"}),
    ("(w * w * w) @ x", {"scheme": "lagrange"}),
    ("W @ relu(W @ x)", {}),
    ("V @ relu(W @ relu(W @ x))", {"scheme": "lagrange"}),
    ("W.T @ relu(W @ x)", {"loss": "square"}),
    ("W1.T @ relu(W1 @ x) * 0.5 + x", {"coordinates": "weights", "loss": "square"}),
    ("mean(relu(W1 @ x))", {}),
    ("mean(relu(W2 @ relu(W1 @ x)))", {"scheme": "lagrange"}),
    ("2 * (W2 @ relu(W1 @ x)) - 0.5 * (W3 @ abs(W1 @ x))", {}),
    ("W2 @ relu(W1 @ x)", {"loss": "cross_entropy"}),
    ("W3 @ relu(W2 @ relu(W1 @ x))", {"loss": "multiclass_exponential", "scheme": "lagrange"}),
    ("W2 @ relu(W1 @ x)**2", {"loss": "cross_entropy", "reduction": "mean", "per": "network"}),
    ("W2 @ relu(W1 @ x + b1) + b2", {"loss": "cross_entropy", "coordinates": "weights", "decay": 0.01}),
)

COARSE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("a @ coarse(step, relu)(W @ x)", {"coordinates": "weights", "loss": "square"}),
    ("W2 @ coarse(quantised_relu(W1 @ x, 2, 0.5), clipped_relu(W1 @ x, 1.5))", {"loss": "logistic"}),
    ("a @ coarse(step, identity)(stop(V) @ coarse(sign(W), W) @ x)", {"scheme": "lagrange", "decay": 0.1}),
)
"""Slopes that are declared."""


def problem(expression: str, settings: dict[str, Any]) -> Problem:
    """The problem of a corpus entry."""
    return Problem(expression, **settings)


SCHEMES = (
    "gradient_flow",
    "lagrange",
    "weight_normalization",
    "exponential_weight_normalization",
    "tangent",
    "fixed_norm",
)


class Grammar:
    """Random networks: chains of matrices, activations, skips, gates, shared blocks, biases and powers."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def network(self) -> Network:
        """A random network that the language accepts."""
        while True:
            self.count = 0
            body = self.hidden(int(self.rng.integers(1, 4)))
            text = str(
                self.rng.choice(
                    [
                        f"{self.fresh()} @ {body}",
                        f"sum({body})",
                        f"mean({body})",
                        f"{self.fresh()} @ {body} + {self.fresh()} @ x",
                    ]
                )
            )
            try:
                return Network(text)
            except FlowlabError:
                continue

    def fresh(self) -> str:
        """A new block."""
        self.count += 1
        return f"W{self.count}"

    def hidden(self, depth: int) -> str:
        """A hidden layer's expression."""
        below = "x" if depth == 1 else self.hidden(depth - 1)
        kind = self.rng.integers(0, 8)
        z = f"{self.fresh()} @ {below}"
        if kind == 0:
            return f"(({z}) * ({self.fresh()} @ {below}))"
        if kind == 1:
            return f"relu({z})**{self.rng.choice(['2', '1.5', '3'])}"
        if kind == 2:
            return f"(relu({z}) + {self.fresh()} @ x)"
        if kind == 3:
            return f"{self.rng.choice(['tanh', 'gelu', 'softplus'])}({z} + b{self.count})"
        if kind == 4:
            return f"({0.25 + self.rng.random():.3f} * abs({z}))"
        return f"{self.rng.choice(['relu', 'leaky_relu', 'abs', 'identity'])}({z})"


def random_problem(seed: int) -> Problem:
    """A random network with random settings."""
    rng = np.random.default_rng(10_000 + seed)
    settings: dict[str, Any] = {
        "scheme": str(rng.choice(["gradient_flow", *SCHEMES])),
        "loss": str(rng.choice(["exponential", "logistic", "square"])),
        "per": str(rng.choice(["layer", "layer", "neuron", "network"])),
        "reduction": str(rng.choice(["sum", "mean"])),
        "decay": float(rng.choice([0.0, 0.0, 0.1])),
    }
    return Problem(Grammar(seed).network(), **settings)

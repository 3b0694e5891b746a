"""Random networks with every word of the language, for what is printed of them."""

from typing import Any

import numpy as np

from flowlab import Network, Problem
from flowlab.core.errors import FlowlabError

SCHEMES = (
    "gradient_flow",
    "lagrange",
    "weight_normalization",
    "exponential_weight_normalization",
    "tangent",
    "fixed_norm",
)
SMOOTH = ("gelu", "softplus", "sigmoid", "sin", "erf", "silu", "mish")
ODD = (
    "R",
    "s",
    "psi",
    "rho",
    "Psi",
    "X",
    "N",
    "D_1",
    "A_1",
    "T_1",
    "G_W1",
    "F",
    "y",
    "Q",
    "alpha",
    "lambda",
    "V_1",
    "p_a1",
    "Z_1",
)
"""Names that the equations use themselves, and Greek ones."""


class Draw:
    """One random network: its text is drawn until the language takes it."""

    def __init__(self, seed: int, odd: bool = False) -> None:
        self.rng, self.odd, self.count = np.random.default_rng(seed), odd, 0
        self.used: list[str] = []

    def pick(self, *choices: str) -> str:
        return str(self.rng.choice(choices))

    def block(self, kind: str) -> str:
        """A new block, a matrix `W` or a vector `a`; sometimes one that is there already."""
        same = [name for name in self.used if name[0].isupper() == (kind == "W")]
        if same and self.rng.random() < 0.12:
            return str(self.rng.choice(same))
        self.count += 1
        name = f"{kind}{self.count}"
        if self.odd and self.rng.random() < 0.6:
            free = [n for n in ODD if n[0].isupper() == (kind == "W") and n not in self.used]
            name = str(self.rng.choice(free)) if free else name
        self.used.append(name)
        return name

    def linear(self, below: str) -> str:
        """A vector per sample that is linear in what is below."""
        W, U, b = (lambda: self.block("W")), (lambda: self.block("W")), (lambda: self.block("a"))
        makers = (
            lambda: f"{W()} @ {below}",
            lambda: f"{W()} @ {below}",
            lambda: f"{below} @ {W()}",
            lambda: f"{W()}.T @ {below}",
            lambda: f"({W()} @ {below} + {b()})",
            lambda: f"({U()} * {W()}) @ {below}",
            lambda: f"({W()} @ {U()}).T @ {below}",
            lambda: f"({b()} * ({W()} @ {below}))",
            lambda: f"(0.75 * ({W()} @ {below}))",
            lambda: f"(-({below} @ {W()}))",
            lambda: f"{W()}**2 @ {below}",
            lambda: f"(x @ {W()} - {b()})",
        )
        return makers[int(self.rng.integers(len(makers)))]()

    def hidden(self, depth: int) -> str:
        """A vector per sample."""
        below = "x" if depth == 1 else self.hidden(depth - 1)
        z = self.linear(below)
        makers = (
            lambda: f"relu({z})",
            lambda: f"tanh({z})",
            lambda: f"{self.pick(*SMOOTH, 'abs', 'identity', 'elu', 'selu')}({z})",
            lambda: f"leaky_relu({z}, 0.3)",
            lambda: f"leaky_relu({z})",
            lambda: f"relu({z})**{self.pick('2', '1.5', '3')}",
            lambda: f"(({z}) * ({self.linear('x')}))",
            lambda: f"maximum({z}, {self.linear(below)})",
            lambda: f"(relu({z}) - {self.linear('x')})",
            lambda: f"(mean({z}) * tanh({self.linear('x')}))",
            lambda: f"(({self.block('a')} @ {self.block('a')}) * ({z}))",
        )
        return makers[int(self.rng.integers(len(makers)))]()

    def text(self, classes: bool) -> str:
        """A whole network, with an output per class or a single one."""
        h, W, a = self.hidden(int(self.rng.integers(1, 3))), (lambda: self.block("W")), (lambda: self.block("a"))
        if classes:
            makers = (
                lambda: f"{W()} @ {h}",
                lambda: f"{h} @ {W()} + {a()}",
                lambda: f"sum({h}) * ({W()} @ x)",
                lambda: f"{a()} * ({W()} @ {h})",
                lambda: f"(x @ {W()}.T @ {W()} @ x) * ({W()} @ x)",
                lambda: f"{W()} @ {h} + {W()} @ x",
            )
        else:
            makers = (
                lambda: f"{W()} @ {h}",
                lambda: f"{a()} @ {h}",
                lambda: f"{a()} @ {h} + {a()}",
                lambda: f"sum({h})",
                lambda: f"mean({h})",
                lambda: f"x @ {W()} @ x",
                lambda: f"({W()} @ x) @ {h}",
                lambda: f"({a()} @ {h}) * ({a()} @ x)",
                lambda: f"({a()} @ x)**2 - {h} @ {a()}",
                lambda: f"{a()} * mean({h}) + {a()}",
                lambda: f"({a()} * {a()} - {a()}) @ x + {W()} @ {h}",
                lambda: f"abs({a()}) @ {h}",
            )
        return makers[int(self.rng.integers(len(makers)))]()

    def problem(self) -> Problem:
        """A problem with random settings."""
        while True:
            self.count, self.used = 0, []
            loss = self.pick("exponential", "logistic", "square", "cross_entropy", "multiclass_exponential")
            weights = bool(self.rng.random() < 0.4)
            settings: dict[str, Any] = {
                "scheme": "gradient_flow" if weights else self.pick(*SCHEMES),
                "coordinates": "weights" if weights else "polar",
                "per": "layer" if weights else self.pick("layer", "layer", "neuron", "network"),
                "reduction": self.pick("sum", "mean"),
                "decay": float(self.rng.choice([0.0, 0.0, 0.1])),
            }
            try:
                return Problem(
                    Network(self.text(loss in ("cross_entropy", "multiclass_exponential"))), loss, **settings
                )
            except FlowlabError:
                continue

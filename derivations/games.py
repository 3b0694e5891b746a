"""Zero-sum games on simplices: what the replicator flow keeps, and what finite steps of two rules do to it."""

from collections.abc import Callable
from functools import cache

import numpy as np
import sympy as sp

import flowlab as fl
from derivations.notebook import Derivation
from flowlab.language.rules import rules
from flowlab.symbolic.modified import coefficients

A = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
START = {"p": np.array([0.5, 0.3, 0.2]), "q": np.array([0.2, 0.2, 0.6])}


def derivation() -> Derivation:
    """The replicator flow, its invariant, the modified flows of plain and optimistic steps, and the sharp step."""
    d = Derivation(
        "Games on simplices",
        """C. Daskalakis, I. Panageas, ITCS 2019 (optimistic multiplicative weights); S. Shahshahani, 1979 (the metric);
        claims O1 to O13 of flowlab.""",
    )
    d.say(
        r"""The player of $p$ raises $p^\top A q$ and that of $q$ lowers it, both on simplices. In the dual chart
        $p = \operatorname{softmax}(x)$, $q = \operatorname{softmax}(y)$ the forces are $F = (A q, -A^\top p)$."""
    )
    d.section("The flow")
    d.equation(
        "replicator",
        r"\dot p_i = p_i\bigl((A q)_i - p^\top A q\bigr), \qquad \dot q_j = -q_j\bigl((A^\top p)_j - p^\top A q\bigr)",
        "The metric of Fisher and Rao turns $F$ into the replicator equation.",
        check=_rates,
        bound=1e-13,
        how="the flow that flowlab derives, at five random places",
    )
    _kept(d)
    d.section("Finite steps")
    _modified(d)
    d.equation(
        "damping",
        r"\operatorname{Re} q = -\tfrac12 \eta\tau^2 \quad\text{(optimistic)}, \qquad +\tfrac12 \eta\tau^2"
        r" \quad\text{(plain)}",
        r"""At an equilibrium that mixes all strategies $DF$ has the eigenvalues $\pm i\tau$, and [modified] has
        $q = i\tau \pm \tfrac\eta2 (i\tau)^2$.""",
        check=_damping,
        bound=2e-4,
        how=r"the logarithm of the steps' eigenvalues at $\eta = .01$ over $\eta^2\tau^2$, against $\mp\tfrac12$",
    )
    _sharp(d)
    return d


@cache
def game() -> fl.Problem:
    """The game as a problem."""
    net = fl.Network("p @ (A @ q)", constants=("A",))
    return fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})


@cache
def rest() -> fl.Equilibrium:
    """Its equilibrium."""
    return fl.equilibrium(game(), fl.Data(A=A))


def _rates() -> float:
    field, rng, worst = fl.lower(fl.derive(game())), np.random.default_rng(0), 0.0
    for _ in range(5):
        p, q = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3))
        rate = field(0.0, fl.State.from_weights({"p": p, "q": q}), fl.Data(A=A))
        value = p @ A @ q
        for w, at, told in (("p", p, p * (A @ q - value)), ("q", q, -q * (A.T @ p - value))):
            size = np.linalg.norm(at)
            # d(rho V) = d rho V + rho dV.
            got = float(rate.rho[w]) * at / size + size * np.asarray(rate.V[w])
            worst = max(worst, float(np.abs(got - told).max()))
    return worst


def _kept(d: Derivation, shift: float = 0.0) -> None:
    def size() -> float:
        rng, worst = np.random.default_rng(1), 0.0
        star = {w: v + shift * np.array([1.0, -1.0, 0.0]) for w, v in rest().weights.items()}
        for _ in range(5):
            p, q = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3))
            # d/dt of -sum p*_i log p_i is -sum p*_i (p_i'/p_i).
            worst = max(worst, abs(float(-(star["p"] - p) @ A @ q + (star["q"] - q) @ A.T @ p)))
        return worst

    d.equation(
        "kept",
        r"""\frac{d}{dt}\bigl[\mathrm{KL}(p^*\|p) + \mathrm{KL}(q^*\|q)\bigr]
        = -(p^* - p)^\top A q + p^\top A (q^* - q) = 0""",
        r"""By [replicator]. With all strategies mixed, $A q^*$ and $A^\top p^*$ are constant vectors of the value $v$,
        so that both terms are $p^\top A q - v$ with opposite signs.""",
        check=size,
        bound=1e-14,
        how="the sum at five random places, with the exact equilibrium",
    )


def _modified(d: Derivation, sign: int = 1) -> None:
    def size() -> float:
        wanted = {"gradient": sp.Rational(-1, 2), "optimistic": sp.Rational(1, 2), "extragradient": sp.Rational(1, 2)}
        found = {rule: coefficients(rules[rule]()) for rule in wanted}
        return float(max(abs(found[r][0] - 1) + abs(found[r][1] - sign * c) for r, c in wanted.items()))

    d.equation(
        "modified",
        r"\dot z = F + \eta c\, DF\, F + O(\eta^2), \qquad c = -\tfrac12 \text{ (plain)}, \quad +\tfrac12"
        r" \text{ (optimistic, mirror-prox)}",
        r"""A step multiplies a mode of the linear force $q z$ by $\lambda(\eta q)$, and $\log\lambda(h) = h + c h^2 +
        O(h^3)$. For steps $z + \eta((1 - b) F + b F^-)$ that is $c = -\tfrac12 - b$.""",
        check=size,
        bound=0.0,
        how="exact algebra on the steps of each rule",
    )


def _damping() -> float:
    eta, worst = 0.01, 0.0
    for rule, sign in (("optimistic", -1), ("gradient", 1)):
        found = fl.stability(rest(), rule, step=eta)
        tau = rest().frequencies
        values = found.measured[np.abs(found.measured) > 0.5]
        sizes = np.sort(np.abs(np.log(np.abs(values))))
        worst = max(worst, abs(sizes[-1] / (eta * tau[0]) ** 2 - 0.5))
        worst = max(worst, 0.0 if np.all(sign * np.log(np.abs(values)) > 0) else 1.0)
    return float(worst)


def _sharp(d: Derivation, threshold: float = 3.0**-0.5) -> None:
    def size() -> float:
        edge = fl.stability(rest(), "optimistic", step=0.1).threshold
        return abs(edge * float(rest().frequencies[0]) - threshold)

    d.equation(
        "sharp",
        r"\lambda^2 - (1 + 2i\sigma)\lambda + i\sigma = 0, \qquad |\lambda| < 1 \iff \sigma = \eta\tau_{\max} <"
        r" \tfrac1{\sqrt 3}",
        r"""The optimistic step on a mode $i\tau$ with its memory. At $\sigma = 1/\sqrt 3$ one root is $e^{i\pi/3}$:
        just beyond, orbits turn round the equilibrium in six steps.""",
        check=size,
        bound=1e-8,
        how="the largest stable step at the equilibrium, by bisection, times the largest frequency",
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    return {
        "kept from a place that is no equilibrium": lambda: _kept(fresh(), shift=0.1),
        "the sign of the second term turned": lambda: _modified(fresh(), sign=-1),
        "a threshold of one half": lambda: _sharp(fresh(), threshold=0.5),
    }

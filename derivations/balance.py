"""Conservation laws of neighbouring layers and of what the data do not span,
for gradient flow and for the normalised flows.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import sympy as sp

from derivations.notebook import Derivation
from derivations.paths import drift, path
from derivations.points import Arrays, Point, everywhere, flow_of, gap, points
from derivations.variables import parametrised, pulls

LINEAR, RELU, SQUARED = (
    ("W3 @ W2 @ W1 @ x", "exponential"),
    ("W2 @ relu(W1 @ x)", "logistic"),
    ("W2 @ relu(W1 @ x)**2", "exponential"),
)
EXPONENTIAL = "exponential_weight_normalization"
TWO = "three random states of a linear and of a ReLU network"


def derivation() -> Derivation:
    """Equation (1.12): hidden balance and off-span parts."""
    d = Derivation(
        "Conservation laws of neighbouring layers",
        """S. Du, W. Hu, J. Lee, NeurIPS 2018 (gradient flow); the laws of the normalised flows follow from the
        equations of norms and directions; claim E1.12, equation (1.12) of flowlab.""",
    )
    d.say(
        r"""Let $W_{k+1}$ act on $\varphi(W_k h)$ and both have degree one, with $\varphi$ the identity or an activation
        of degree one such as ReLU. $G_k = \sum_n \psi_n\, \partial \bar f_n/\partial V_k$ is the pull on a direction,
        $s = \sum_n \psi_n \bar f_n$, and $R$ the product of the norms. The equations of the normalised flows used below
        are $\dot V_k = R(G_k - sV_k)$, with $\rho_k \dot\rho_k = R s$ for Lagrange flow and weight normalisation and
        $\dot\rho_k = R s \rho_k$ for its exponential form."""
    )
    _handover(d)
    d.section("Gradient flow")
    d.equation(
        "plain",
        r"""\begin{aligned}
        \frac{d}{dt}\bigl(W_k W_k^\top - W_{k+1}^\top W_{k+1}\bigr) &= 0 && \text{(linear)} \\
        \frac{d}{dt}\,\mathrm{diag}\bigl(W_k W_k^\top - W_{k+1}^\top W_{k+1}\bigr) &= 0 && \text{(ReLU)}
        \end{aligned}""",
        r"""Insert $\dot W_k = (R/\rho_k) G_k$ and use [handover], once as it stands and once transposed. The trace of
        this law is the conserved difference of squared norms.""",
        check=lambda: max(_rest(LINEAR, _weights), _rest(RELU, _weights)),
        bound=1e-11,
        how=f"the product rule with reverse autodiff of the loss, relative to its first term, at {TWO}",
    )
    _normalised(d)
    _off_span(d)
    _power(d)
    d.section("What the program finds")
    d.equation(
        "program",
        r"\{\text{balance of } W_k \text{ and } W_{k+1}\} \subset \text{conserved}",
        "`flowlab.derive` finds the neighbours in the network, and the factor by integrating the scalar equation"
        " [relaxation] in the norm.",
        check=_listed,
        bound=0.0,
        how=(
            "kinds and blocks of the laws listed for `W3 @ (W2 @ (W1 @ x))` and `W2 @ relu(W1 @ x)` under three schemes"
        ),
    )
    return d


def _handover(d: Derivation, full: bool = False) -> None:
    def size(p: Point) -> float:
        names, diagonal = list(p.V), p.problem.network.text == RELU[0] and not full
        sides = [(p.G[a] @ p.V[a].T, p.V[b].T @ p.G[b]) for a, b in pairwise(names)]
        return max(gap(np.diag(left), np.diag(right)) if diagonal else gap(left, right) for left, right in sides)

    d.equation(
        "handover",
        r"""\begin{aligned}
        G_k V_k^\top &= V_{k+1}^\top G_{k+1} && \text{(linear)} \\
        \mathrm{diag}\bigl(G_k V_k^\top\bigr) &= \mathrm{diag}\bigl(V_{k+1}^\top G_{k+1}\bigr) && \text{(ReLU)}
        \end{aligned}""",
        r"""Let $z = V_k h$, $a = \varphi(z)$, and $\varepsilon$ be what is propagated back to $V_{k+1} a$. Then
        $G_k V_k^\top = \sum_n \delta z^\top$ with $\delta = \varphi'(z) \odot V_{k+1}^\top \varepsilon$, and
        $V_{k+1}^\top G_{k+1} = \sum_n V_{k+1}^\top \varepsilon\, a^\top$. For the identity these are the same matrix.
        Behind an activation the entries mix slopes of one unit with values of another; on the diagonal they belong to
        the same unit, and $\varphi'(z)\, z = \varphi(z)$.""",
        check=everywhere(size, (LINEAR, RELU)),
        bound=1e-11,
        how=f"pulls by reverse autodiff, all neighbours, at {TWO}",
    )


def _weights(p: Point) -> tuple[Arrays, Arrays]:
    return p.W, p.g


def _directions(p: Point) -> tuple[Arrays, Arrays]:
    return p.V, parametrised(p, "lagrange")[1]


def _imbalance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ a.T - b.T @ b


def _rest(
    which: tuple[str, str], of: Callable[[Point], tuple[Arrays, Arrays]], share: float = 0.0, power: float = 1.0
) -> float:
    """The rate of the imbalance by the product rule, plus share times 2 R s times it,
    relative to the rate's first term.
    """
    worst, diagonal = 0.0, which[0] != LINEAR[0]
    for p in points(*which):
        at, rate = of(p)
        names = list(at)
        for a, b in pairwise(names):
            first, second = 2 * rate[a] @ at[a].T / power, 2 * at[b].T @ rate[b]
            found = (first - second + (first - second).T) / 2 + share * 2 * p.R * p.s * _imbalance(at[a], at[b])
            worst = max(worst, float(np.linalg.norm(np.diag(found) if diagonal else found) / np.linalg.norm(first)))
    return worst


def _normalised(d: Derivation) -> None:
    d.section("Normalised flows")
    d.define(
        "imbalance",
        r"M_k = V_k V_k^\top - V_{k+1}^\top V_{k+1}, \qquad \mathrm{tr}\, M_k = 0",
        "The imbalance of the directions, of which only the diagonal is meant behind a ReLU:",
    )
    d.equation(
        "relaxation",
        r"\dot M_k = -2 R s\, M_k",
        "The pulls cancel by [handover]; what the projection takes from the two directions does not.",
        check=lambda: max(_rest(LINEAR, _directions, share=1.0), _rest(RELU, _directions, share=1.0)),
        bound=1e-11,
        how=f"the product rule with autodiff of the loss in $(\\rho, v)$, at {TWO}",
    )
    _laws(d)
    _lengths(d)


def _lengths(d: Derivation, at_unit_length: bool = False) -> None:
    nu = 1.7

    def split() -> float:
        worst = 0.0
        for p in points(*LINEAR):
            lengths = dict(zip(p.V, (0.8, 1.7, 1.2), strict=True))
            v = Point(p.problem, p.rho, {k: lengths[k] * u for k, u in p.V.items()}, p.x, p.y)
            turn = pulls(v)["turn"]
            for a, b in pairwise(p.V):
                first, second = turn[a] @ p.V[a].T, p.V[b].T @ turn[b]
                found = lengths[a] ** 2 * (first + first.T) - lengths[b] ** 2 * (second + second.T)
                worst = max(worst, gap(found, -2 * p.R * p.s * _imbalance(p.V[a], p.V[b])))
        return worst

    d.equation(
        "unequal",
        r"""\nu_k^2 \frac{d}{dt}\bigl(u_k u_k^\top\bigr) - \nu_{k+1}^2 \frac{d}{dt}\bigl(u_{k+1}^\top u_{k+1}\bigr) = -2
        R s\, M_k, \qquad u_k = \frac{v_k}{\nu_k}""",
        r"""Under weight normalisation with vectors of lengths $\nu_k = \lVert v_k\rVert$ the clock of a direction is
        slower by $\nu_k^2$, and that of its norm is not; $M_k$ is made of $u_k$ and $u_{k+1}$. The pulls cancel once
        each side is multiplied by its own $\nu^2$.""",
        check=split,
        bound=1e-11,
        how="forward autodiff of $v/\\lVert v\\rVert$ along the flow at lengths 0.8, 1.7 and 1.2 of a linear network",
    )
    d.equation(
        "lengths",
        r"M_k\, e^{\rho_k^2/\nu^2} = \text{const}, \qquad \nu = \lVert v_k\rVert = \lVert v_{k+1}\rVert",
        r"""If neighbouring lengths are equal, [unequal] reads $\dot M_k = -2Rs\nu^{-2} M_k$. If they differ, its
        left-hand side is not the rate of $M_k$, and there is no law of this form.""",
        check=lambda: _strays(
            "weight_normalization",
            lambda rho: np.exp((rho**2 - rho[0] ** 2) / (1.0 if at_unit_length else nu**2)),
            length=nu,
        ),
        bound=1e-9,
        how=(
            r"drift relative to the start along a Runge-Kutta path of derived weight normalisation at $\nu = 1.7$, all"
            r" neighbours of a linear network"
        ),
    )


def _laws(d: Derivation, exponent: float = 1.0) -> None:
    def size() -> float:
        t, c = sp.symbols("t c", positive=True)
        square, factor = sp.Function("square")(t), sp.Function("M")(t)
        # ρ ρ' = R s makes 2 R s the rate of the square of the norm; under the exponential form it is that of 2 log ρ.
        law = sp.diff(factor * sp.exp(square), t).subs(sp.Derivative(factor, t), -sp.diff(square, t) * factor)
        exact = float(sp.simplify(law) != 0 or sp.simplify(sp.exp(2 * sp.log(c)) - c**2) != 0)
        lagrange = _strays("lagrange", lambda rho: np.exp(exponent * (rho**2 - rho[0] ** 2)))
        return max(exact, lagrange, _strays(EXPONENTIAL, lambda rho: rho ** (2 * exponent)))

    d.equation(
        "laws",
        r"M_k\, e^{\rho_k^2} = \text{const} \quad \text{(Lagrange)}, \qquad M_k\, \rho_k^2 = \text{const} \quad"
        r" \text{(exponential)}",
        r"""By $2Rs = d\rho_k^2/dt$ and by $2Rs = 2\, d\log\rho_k/dt$ the imbalance falls as $e^{-\rho_k^2}$ and as
        $\rho_k^{-2}$. Under gradient flow $\rho_k^2 V_k V_k^\top - \rho_{k+1}^2 V_{k+1}^\top V_{k+1}$ stays, so that
        with growing norms it falls like a power too. Each flow has a law in the same place, but not the same law: the
        dynamics are not equivalent.""",
        check=size,
        bound=1e-9,
        how="""drift relative to the start along Runge-Kutta paths of the derived flows, all neighbours of a linear
        network, and the scalar equation symbolically""",
    )


def _strays(scheme: str, factor: Callable[[np.ndarray], np.ndarray], length: float = 1.0) -> float:
    walk, worst = path(LINEAR[0], scheme, length=length), 0.0
    names = list(walk["V"])
    for a, b in pairwise(names):
        first, second = walk["V"][a], walk["V"][b]
        M = np.einsum("tij,tkj->tik", first, first) - np.einsum("tji,tjk->tik", second, second)
        worst = max(worst, drift(M * factor(walk["rho"][a])[:, None, None]))
    return worst


def _off_span(d: Derivation) -> None:
    factors = {
        "gradient_flow": lambda rho: rho,
        "lagrange": lambda rho: np.exp((rho**2 - rho[0] ** 2) / 2),
        EXPONENTIAL: lambda rho: rho,
    }

    def size() -> float:
        worst = 0.0
        for net in (LINEAR[0], SQUARED[0]):
            for scheme, factor in factors.items():
                walk = path(net, scheme)
                worst = max(worst, drift(walk["V"]["W1"] @ walk["off"] * factor(walk["rho"]["W1"])[:, None, None]))
        return worst

    d.section("What the data do not span")
    d.equation(
        "off-span",
        r"""\begin{aligned}
        W_1 P &= \text{const} && \text{(gradient flow)} \\
        V_1 P\, e^{\rho_1^2/2} &= \text{const} && \text{(Lagrange)} \\
        V_1 P\, \rho_1 &= \text{const} && \text{(exponential)}
        \end{aligned}""",
        r"""Let $P$ project off the span of the inputs and the first block see them alone. Its pull has no part there,
        $G_1 P = 0$, so $\dot V_1 P = -\kappa_1 R s\, V_1 P$, while $\rho_1\dot\rho_1$, or $\dot\rho_1/\rho_1$ for the
        exponential form, is $\kappa_1 R s$. The degree cancels: the laws hold for every $\kappa_1$.""",
        check=size,
        bound=1e-9,
        how=(
            "drift relative to the start along Runge-Kutta paths with 3 samples in 5 dimensions, for a linear network"
            " and one with $\\kappa_1 = 2$"
        ),
    )


def _power(d: Derivation, power: float = 2.0) -> None:
    d.equation(
        "power",
        r"""\frac{d}{dt}\,\mathrm{diag}\Bigl(\frac{1}{a} W_k W_k^\top - W_{k+1}^\top W_{k+1}\Bigr) = 0
        \qquad \text{(gradient flow, } \varphi(z) = \max(z, 0)^a\text{)}""",
        r"""With an activation of degree $a$ the last step of [handover] reads $\varphi'(z)\, z = a\, \varphi(z)$. The
        projections of a normalised flow would take $V_k V_k^\top - V_{k+1}^\top V_{k+1}$ from it, without the $1/a$, so
        the imbalance obeys no equation of its own there.""",
        check=lambda: _rest(SQUARED, _weights, power=power),
        bound=1e-11,
        how="the product rule with reverse autodiff of the loss, at three random states of a squared ReLU network",
    )


def _listed() -> float:
    wrong = 0
    # The program looks for a block times a vector, so the linear network is written with brackets.
    for net, kind in (("W3 @ (W2 @ (W1 @ x))", "balance"), (RELU[0], "balance-diagonal")):
        for scheme in ("gradient_flow", "lagrange", EXPONENTIAL):
            flow = flow_of(net, "logistic", scheme)
            blocks = flow.problem.network.weights
            found = [(law.kind, law.blocks) for law in flow.conserved if law.kind.startswith("balance")]
            wrong += found != [(kind, pair) for pair in pairwise(blocks)]
    return float(wrong)


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    return {
        "the whole matrix behind a ReLU": lambda: _handover(fresh(), full=True),
        "the exponent doubled": lambda: _laws(fresh(), exponent=2.0),
        "lengths ignored under weight normalisation": lambda: _lengths(fresh(), at_unit_length=True),
        "a squared ReLU without its degree": lambda: _power(fresh(), power=1.0),
    }

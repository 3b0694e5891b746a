"""Late times: the constants of one linear block with an exponential loss, for gradient flow,
weight normalisation and fixed norms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from derivations.critical_points import SINGLE
from derivations.notebook import Derivation, control
from derivations.points import Point, gap
from derivations.resting import hard_margin, separable, settle

DATA = (
    "three sets of nine samples in three dimensions with three support vectors each, of multipliers within a factor of"
    " twenty"
)


@dataclass(frozen=True, eq=False)
class Case:
    """Data with as many support vectors as dimensions; all other samples have margins of at least 1.5 at the hard
    margin vector.
    """

    point: Point

    @cached_property
    def hard(self) -> tuple[np.ndarray, np.ndarray]:
        """The hard margin vector and its multipliers."""
        return hard_margin(self.point.x, self.point.y)

    @cached_property
    def rows(self) -> np.ndarray:
        """y_n x_n, (N, d)."""
        return self.point.y[:, None] * self.point.x

    @cached_property
    def support(self) -> np.ndarray:
        """Which samples are support vectors, (N,)."""
        return self.hard[1] > 1e-9

    @cached_property
    def unit(self) -> np.ndarray:
        """v_*, the direction of the hard margin vector."""
        return self.hard[0] / np.linalg.norm(self.hard[0])

    @cached_property
    def residual(self) -> np.ndarray:
        """The solution of ⟨y_n x_n, w⟩ = -log α_n over the support vectors."""
        return np.linalg.solve(self.rows[self.support], -np.log(self.hard[1][self.support]))

    def at(self, w: np.ndarray) -> Point:
        """The state with weights w."""
        length = np.linalg.norm(w)
        return replace(
            self.point, rho={"W1": np.asarray(length)}, V={"W1": (w / length).reshape(np.shape(self.point.V["W1"]))}
        )

    def across(self, w: np.ndarray) -> np.ndarray:
        """The part of a vector across v_*."""
        return w - (w @ self.unit) * self.unit

    @cached_property
    def horizon(self) -> float:
        """The logarithm of a time at which t^-λ is e^-24, λ the slower of the rates of relaxation and of the loss of
        other samples.
        """
        pulled = self.rows[self.support] * np.sqrt(self.hard[1][self.support])[:, None]
        others = (self.rows @ self.hard[0])[~self.support] - 1
        return 24 / min(float(np.linalg.eigvalsh(pulled.T @ pulled)[0]), float(others.min()))

    @cached_property
    def late(self) -> np.ndarray:
        """Weights of gradient flow at log t = `horizon`; integrated without w_* log t,
        whose rounding would be all there is to see.
        """

        def rate(log_t: float, rest: np.ndarray) -> np.ndarray:
            return np.exp(log_t - self.rows @ (self.hard[0] * log_t + rest)) @ self.rows - self.hard[0]

        found: Any = solve_ivp(rate, (0.0, self.horizon), 0.3 * np.ones(3), method="DOP853", rtol=1e-12, atol=1e-12)
        return self.hard[0] * self.horizon + found.y[:, -1]

    @cached_property
    def norms(self) -> np.ndarray:
        """Norms R, 2 R, 4 R and 8 R, the largest as large as the loss stays a float64."""
        return 500 * float(np.linalg.norm(self.hard[0])) * np.array([0.125, 0.25, 0.5, 1.0])


@cache
def cases(count: int = 3) -> tuple[Case, ...]:
    """The first data sets, by seed, with three support vectors of comparable multipliers;
    samples off the margin are lengthened to a margin of 1.5.
    """
    found, seed = [], 0
    while len(found) < count:
        p = separable(*SINGLE, seed)
        w, duals = hard_margin(p.x, p.y)
        # A multiplier that nearly vanishes delays all limits: the errors fall like t^-λ, and λ goes to zero with it.
        if np.sum(duals > 1e-9) == p.x.shape[1] and np.min(duals[duals > 1e-9]) > 0.05 * np.max(duals):
            stretch = np.where(duals > 1e-9, 1.0, np.maximum(1.0, 1.5 / (p.y * (p.x @ w))))
            found.append(Case(replace(p, x=stretch[:, None] * p.x)))
        seed += 1
    return tuple(found)


def extrapolated(ends: Sequence[np.ndarray]) -> np.ndarray:
    """The limit of a series in 1/R from its values at R, 2 R, 4 R and so on; one power is removed per round."""
    for power in range(1, len(ends)):
        ends = [(2**power * fine - coarse) / (2**power - 1) for coarse, fine in pairwise(ends)]
    return ends[0]


def derivation() -> Derivation:
    """Claims P8, P9, P13, S2: constants at late times."""
    d = Derivation(
        "One block at late times",
        """D. Soudry, E. Hoffer, M. Nacson, S. Gunasekar, N. Srebro, JMLR 2018; S. Rosset, J. Zhu, T. Hastie, NeurIPS
        2003 (fixed norms); claims P8, P9, P13, S2, S3 of flowlab.""",
    )
    _ansatz(d)
    _constants(d)
    _other_flows(d)
    return d


def _ansatz(d: Derivation) -> None:
    d.section("One linear block, exponential loss")
    d.say(
        r"""Let $w_*$ be the shortest $w$ with $y_n\langle x_n, w\rangle \ge 1$, $\alpha_n \ge 0$ its multipliers,
        $\gamma = 1/\lVert w_*\rVert$ the margin, $v_* = \gamma w_*$, and $S$ the set of support vectors. It is supposed
        that these are linearly independent, that they span the space, and that all $\alpha_n > 0$ on $S$, which holds
        for almost all data with that many of them."""
    )
    d.equation(
        "duals",
        r"w_* = \sum_{n \in S} \alpha_n y_n x_n, \qquad \sum_{n \in S} \alpha_n = \lVert w_*\rVert^2 ="
        r" \frac{1}{\gamma^2}",
        r"""The conditions of the margin problem [critical_points:kkt] in this scale. For the sum, take the inner
        product with $w_*$; on $S$ the margins are one.""",
        check=lambda: max(
            max(gap(c.hard[1] @ c.rows, c.hard[0]), gap(c.hard[1].sum(), c.hard[0] @ c.hard[0])) for c in cases()
        ),
        bound=1e-9,
        how=f"shortest vector and multipliers by nonnegative least squares, {DATA}",
    )
    d.define("split", r"w = w_* \log t + \tilde w", "Nothing is lost by writing the weights as")

    def rewritten() -> float:
        worst, rng = 0.0, np.random.default_rng(0)
        for c in cases():
            residual, log_t = rng.normal(size=3), 2.3
            w = c.hard[0] * log_t + residual
            on, q = c.support, c.rows @ c.hard[0]
            p = c.at(w)
            flow = np.exp(log_t) * np.ravel(p.g["W1"]) - c.hard[0]
            near = (np.exp(-c.rows[on] @ residual) - c.hard[1][on]) @ c.rows[on]
            worst = max(worst, gap(near + np.exp(log_t * (1 - q[~on]) - c.rows[~on] @ residual) @ c.rows[~on], flow))
        return worst

    d.equation(
        "slow",
        r"""\frac{d\tilde w}{d\log t} = \sum_{n \in S} \bigl(e^{-y_n\langle x_n, \tilde w\rangle} - \alpha_n\bigr) y_n
        x_n + \sum_{n \notin S} t^{\,1 - y_n\langle x_n, w_*\rangle} e^{-y_n\langle x_n, \tilde w\rangle} y_n x_n""",
        r"""Multiply $\dot w = \sum_n e^{-y_n\langle x_n, w\rangle} y_n x_n$ by $t$, insert [split], and subtract $w_*$
        by [duals]. On $S$ the powers of $t$ cancel. Off $S$ the exponent is negative, so that the second sum dies
        out.""",
        check=rewritten,
        bound=1e-11,
        how=(
            "against $t$ times the negative gradient of the loss by autodiff less $w_*$, at random $\\tilde w$, $\\log"
            f" t = 2.3$, {DATA}"
        ),
    )


def _constants(d: Derivation) -> None:
    _residual(d)
    d.equation(
        "loss",
        r"L t \to \frac{1}{\gamma^2}",
        r"$L t = \sum_{n \in S} e^{-y_n \langle x_n, \tilde w\rangle} + o(1) \to \sum_{n \in S} \alpha_n$ by"
        r" [residual], and [duals].",
        check=lambda: max(gap(np.sum(np.exp(c.horizon - c.rows @ c.late)), c.hard[0] @ c.hard[0]) for c in cases()),
        bound=1e-8,
        how=rf"at $\log t = 24/\lambda$ along gradient flow, relative, {DATA}",
    )
    d.define("constant", r"C_* = \lVert P_\perp \tilde w_\infty\rVert, \qquad P_\perp = I - v_* v_*^\top", "Let")

    def length() -> float:
        worst = 0.0
        for c in cases():
            radial = c.horizon * np.linalg.norm(c.hard[0]) + c.residual @ c.unit
            worst = max(worst, abs(c.late @ c.late - radial**2 - np.sum(c.across(c.residual) ** 2)) / radial)
        return float(worst)

    d.equation(
        "length",
        r"\rho^2 = \Bigl(\frac{\log t}{\gamma} + \langle v_*, \tilde w_\infty\rangle\Bigr)^2 + C_*^2 + o(1)",
        r"The square of the length of [split], along $v_*$ and across it. So $\rho = (\log t)/\gamma + O(1)$, and the"
        r" constant is known.",
        check=length,
        bound=1e-8,
        how=(
            r"the difference over $\rho$ at $\log t = 24/\lambda$ along gradient flow, $\tilde w_\infty$ from"
            rf" [residual], {DATA}"
        ),
    )
    d.equation(
        "direction",
        r"\rho\, P_\perp v \to P_\perp \tilde w_\infty, \qquad \rho\, \lVert v - v_*\rVert \to C_*",
        r"""$\rho P_\perp v = P_\perp w = P_\perp \tilde w$ without any approximation, and $\lVert v - v_*\rVert =
        \lVert P_\perp v\rVert\,(1 + O(\rho^{-2}))$. The direction is late by $C_*\gamma/\log t$, and $C_*$ is known
        from the data alone, whatever the start.""",
        check=lambda: max(gap(c.across(c.late), c.across(c.residual)) for c in cases()),
        bound=1e-8,
        how=(
            r"$P_\perp w$ at $\log t = 24/\lambda$ along gradient flow against $P_\perp \tilde w_\infty$ from"
            rf" [residual], relative, {DATA}"
        ),
    )


def _residual(d: Derivation, times: float = 1.0) -> None:
    def size() -> float:
        found = [
            (c.rows[c.support] @ (c.late - c.horizon * c.hard[0]), -times * np.log(c.hard[1][c.support]))
            for c in cases()
        ]
        return max(float(np.max(np.abs(a - b))) for a, b in found)

    d.equation(
        "residual",
        r"y_n\langle x_n, \tilde w\rangle \to -\log\alpha_n \qquad (n \in S)",
        r"""The first sum of [slow] is the negative gradient of $\sum_{n \in S} (e^{-z_n} + \alpha_n z_n)$,
        $z_n = y_n\langle x_n, \tilde w\rangle$, a strictly convex function of the $z_n$ whose minimum is where every
        bracket vanishes. As the second sum is integrable in $\log t$, $\tilde w$ converges to the minimum
        $\tilde w_\infty$. Near it the error falls like $t^{-\lambda}$, where $\lambda$ is the least of the eigenvalues
        of $\sum_{n \in S} \alpha_n x_n x_n^\top$ and of $y_n\langle x_n, w_*\rangle - 1$ off $S$.""",
        check=size,
        bound=1e-8,
        how=rf"at $\log t = 24/\lambda$ along gradient flow by DOP853 in $\log t$, {DATA}",
    )


@cache
def _normalised(case: int) -> tuple[np.ndarray, ...]:
    """ρ P⊥ v of the Lagrange flow at the norms of the case, with the norm as its clock."""
    c = cases()[case]

    def rate(rho: float, v: np.ndarray) -> np.ndarray:
        q = c.rows @ v
        weights = np.exp(-rho * (q - q.min()))
        pull = weights @ c.rows
        return rho * (pull - (pull @ v) * v) / (weights @ q)

    start = c.unit + 0.1 * np.array([1.0, -1.0, 0.5])
    found: Any = solve_ivp(
        rate, (2.0, c.norms[-1]), start / np.linalg.norm(start), method="Radau", t_eval=c.norms, rtol=1e-9, atol=1e-12
    )
    return tuple(rho * c.across(v) for rho, v in zip(found.t, found.y.T, strict=True))


def _other_flows(d: Derivation) -> None:
    def constrained() -> float:
        worst = 0.0
        for c in cases():
            ends = []
            for R in c.norms:
                p = settle(c.at(c.hard[0] * R / np.linalg.norm(c.hard[0]) + c.residual), float(R))
                ends.append(R * c.across(np.ravel(p.V["W1"])))
            worst = max(worst, gap(extrapolated(ends), c.across(c.residual)))
        return worst

    d.section("The same constant elsewhere")
    d.equation(
        "constrained",
        r"R\, P_\perp v_R \to P_\perp \tilde w_\infty \qquad (v_R \text{ minimises } L \text{ at } \rho = R)",
        r"""Write $R v_R = a_R v_* + b_R$ with $b_R \perp v_*$. At rest $\sum_n \psi_n y_n x_n$ is parallel to $v_R$,
        whose limit is $v_*$; on $S$ the pulls are proportional to $e^{-y_n\langle x_n, b_R\rangle}$. So in the limit
        $e^{-y_n\langle x_n, b\rangle} = c\,\alpha_n$, which $b = P_\perp \tilde w_\infty$ solves, because moving along
        $v_*$ changes all margins of $S$ alike, and $c$ takes that up.""",
        check=constrained,
        bound=1e-3,
        how=(
            r"minimisers at four norms up to $500/\gamma$ by Newton steps on the sphere, extrapolated in $1/R$,"
            rf" relative, {DATA}"
        ),
    )
    _normalised_flow(d)


def _normalised_flow(d: Derivation, share: float = 1.0) -> None:
    def size() -> float:
        return max(gap(extrapolated(_normalised(i)), share * c.across(c.residual)) for i, c in enumerate(cases()))

    d.equation(
        "normalised",
        r"\rho\, P_\perp v \to P_\perp \tilde w_\infty \qquad \text{(Lagrange, weight normalisation)}",
        r"""Divide the rates of direction and norm: $dv/d\rho = (\rho/s) P_v \sum_n \psi_n y_n x_n$. The right-hand side
        pulls $v$ to $v_\rho$ of [constrained] at a rate that grows with $\rho$, while $v_\rho$ moves ever more slowly,
        so $v$ follows. With several support vectors of unequal weight, weight normalisation is neither faster nor
        slower in $\rho$ than gradient flow, to leading order.""",
        check=size,
        bound=1e-3,
        how=(
            r"the flow with the norm as its clock by Radau's method, at four norms up to $500/\gamma$, extrapolated in"
            rf" $1/\rho$, relative, {DATA}"
        ),
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""
    return {
        "residual margins 1% off": lambda: _residual(control("slow"), times=1.01),
        "the constant of another metric at half its size": lambda: _normalised_flow(control("constrained"), share=0.5),
    }

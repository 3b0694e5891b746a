"""Where directions rest at fixed norms, the multipliers there,
and what becomes of the resting points as the norms grow.
"""

from collections.abc import Callable

import numpy as np

from derivations.notebook import Derivation
from derivations.points import gap
from derivations.resting import Curved, at_norms, hard_margin, rest
from derivations.variables import parametrised, pulls

SINGLE, LINEAR, SQUARED = (
    ("W1 @ x", "exponential"),
    ("W3 @ W2 @ W1 @ x", "exponential"),
    ("W2 @ relu(W1 @ x)**2", "exponential"),
)
NETS = (SINGLE, LINEAR, SQUARED)
LATE = (5.0, 20.0, 80.0, 320.0)
FOUND = (
    "directions where autodiff of $L$ on the spheres vanishes, for a linear network with one and with three blocks and"
    " for a squared ReLU"
)


def derivation() -> Derivation:
    """Equations (1.10) and (1.7), claims P5 and P13: resting directions and their limit."""
    d = Derivation(
        "Directions at rest",
        """T. Poggio, A. Banburski, Q. Liao, PNAS 2020; S. Rosset, J. Zhu, T. Hastie, NeurIPS 2003 (vanishing
        regularisation); K. Lyu, J. Li, ICLR 2020 (KKT points of the margin); claims P5, P13, L6, equations (1.7),
        (1.10) of flowlab.""",
    )
    d.say(
        r"""The norms are held fixed here, so that $L$ is a function of the directions on a product of spheres;
        $R = \prod_k \rho_k^{\kappa_k}$, $\bar f_n = y_n f(V;x_n)$, $\psi_n = -\ell'(R\bar f_n)$,
        $s = \sum_n \psi_n \bar f_n$ and $G_k = \sum_n \psi_n\, \partial\bar f_n/\partial V_k$."""
    )
    d.section("Fixed norms")
    _rest(d)
    _same(d)
    _multipliers(d)
    d.equation(
        "ray",
        r"-\frac{\partial L}{\partial W_k} = \frac{\kappa_k R s}{\rho_k}\, V_k",
        r"""Put [rest] into the slope of the loss [polar_flow:slope]. Where directions rest and $s \neq 0$ the weights
        do not: they move along their rays, and as $R$ changes so does [rest]. With an exponential loss and all margins
        positive $s > 0$: no state that meets all labels is a critical point of the unconstrained flow.""",
        check=lambda: max(
            gap(p.each(lambda k, p=p: p.kappa[k] * p.R * p.s / p.rho[k] * p.V[k]), p.g) for p in resting()
        ),
        bound=1e-9,
        how=f"reverse autodiff of the loss at {FOUND}",
    )
    _deep_linear(d)
    _late(d)
    return d


def resting(nets: tuple[tuple[str, str], ...] = NETS, late: tuple[float, ...] = LATE[:2]) -> list[Curved]:
    """Resting points of every net at every product of norms, for two draws of data and start."""
    return [rest(*net, R, seed) for net in nets for R in late for seed in (0, 1)]


def _rest(d: Derivation, kept: float = 1.0) -> None:
    def size(p: Curved) -> float:
        return max(
            float(np.linalg.norm(p.G[k] - kept * p.kappa[k] * p.s * p.V[k]) / np.linalg.norm(p.G[k])) for k in p.V
        )

    d.equation(
        "rest",
        r"""\dot V_k = 0 \quad\Longleftrightarrow\quad
        \sum_n \psi_n \Bigl(\frac{\partial \bar f_n}{\partial V_k} - \kappa_k\, \bar f_n V_k\Bigr) = 0
        \quad\Longleftrightarrow\quad G_k = \kappa_k s\, V_k""",
        r"""The rate [polar_flow:direction] is a positive factor times the sum. A direction rests where the pull on it
        is radial; the share of the pull that is radial is known from Euler's identity.""",
        check=lambda: max(size(p) for p in resting()),
        bound=1e-9,
        how=f"relative to $G_k$ at {FOUND}, $R = 5$ and $20$",
    )


def _same(d: Derivation, factor: float = 1.0) -> None:
    def fastest(p: Curved, seed: int) -> float:
        q, worst = at_norms(p, factor * p.R, seed), 0.0
        for scheme, power in (("gradient_flow", -1), ("lagrange", 1), ("exponential_weight_normalization", 1)):
            _, rate = parametrised(q, scheme)
            worst = max(
                worst, *(float(np.linalg.norm(rate[k]) / (q.rho[k] ** power * np.linalg.norm(q.g[k]))) for k in q.V)
            )
        return worst

    d.equation(
        "same",
        r"""\{V : \dot V^{\text{gradient flow}} = 0\} = \{V : \dot V^{\text{Lagrange}} = 0\} =
        \{V : \dot V^{\text{exponential}} = 0\} \qquad \text{at one } R""",
        r"""The factors of the three flows are $R/\rho_k^2$, $R$ and $R$, see [clocks:clock] and [schemes:wn]; none is
        zero, and the sum in [rest] depends on the norms through $R$ alone. So it does not matter either how $R$ is
        shared among the blocks. The sets are the same, the paths to them are not.""",
        check=lambda: max(fastest(p, seed) for p in resting() for seed in (5, 6)),
        bound=1e-9,
        how=(
            r"autodiff in the variables of each flow, relative to $\partial L/\partial W_k$ in the same units, at"
            rf" {FOUND}, with two other shares of $R$"
        ),
    )


def _multipliers(d: Derivation, with_degrees: bool = True) -> None:
    def size(p: Curved) -> float:
        free = pulls(p)["free"][1]
        half = p.each(lambda k: 0.5 * (p.kappa[k] if with_degrees else 1.0) * p.R * p.s)
        return gap(p.each(lambda k: 2 * half[k] * p.V[k]), free)

    d.equation(
        "multipliers",
        r"""\frac{\partial L}{\partial V_k} + 2\lambda_k V_k = 0, \qquad \lambda_k = \frac{\kappa_k}{2} R s, \qquad
        \frac{\lambda_1}{\kappa_1} = \dots = \frac{\lambda_K}{\kappa_K}""",
        r"""The same statement as stationarity of $L + \sum_k \lambda_k (\lVert V_k\rVert^2 - 1)$, with the multiplier
        of [schemes:multiplier]. Every sphere holds its direction with a force of one strength, up to its degree.""",
        check=lambda: max(size(p) for p in resting()),
        bound=1e-9,
        how=rf"reverse autodiff of $L(\rho V)$ in $V$ at {FOUND}",
    )


def _deep_linear(d: Derivation) -> None:
    def balance() -> float:
        pairs = [
            (p.V[a] @ p.V[a].T, p.V[b].T @ p.V[b]) for p in resting((LINEAR,)) for a, b in (("W1", "W2"), ("W2", "W3"))
        ]
        rows = [(np.sum(p.V["W1"] ** 2, 1), np.ravel(p.V["W2"]) ** 2) for p in resting((SQUARED,))]
        return max(gap(left, right) for left, right in (*pairs, *rows))

    def rank() -> float:
        return max(float(np.linalg.svd(v)[1][1]) for p in resting((LINEAR,)) for v in (p.V["W1"], p.V["W2"]))

    def reduced() -> float:
        worst = 0.0
        for R in LATE[:2]:
            for seed in (0, 1):
                p = rest(*LINEAR, R, seed)
                worst = max(
                    worst, gap(p.V["W3"] @ p.V["W2"] @ p.V["W1"], rest(*SINGLE, R, seed).V["W1"].reshape(1, -1))
                )
        return worst

    d.section("Balance, and linear networks")
    d.equation(
        "balance",
        r"""V_k V_k^\top = V_{k+1}^\top V_{k+1} \;\text{(linear)}, \qquad
        \lVert w_i\rVert^2 = c_i^2 \;\text{(unit } c_i \max(w_i x, 0)^a\text{)} \qquad (s \neq 0)""",
        r"""Multiply [rest] by $V_k^\top$ from the right and the one of the next block by $V_{k+1}^\top$ from the left;
        the pulls agree by [balance:handover], and for a unit with an activation of degree $a$ the in-going pull is $a$
        times the out-going one, as are the degrees of the blocks. What a conservation law keeps along a flow, a resting
        direction has at zero.""",
        check=balance,
        bound=1e-8,
        how="both neighbours of a linear network, and the four units of a squared ReLU, at the resting points",
    )
    d.equation(
        "rank-one",
        r"V_k = a_{k+1} a_k^\top, \qquad \lVert a_k\rVert = 1, \quad a_{K+1} = 1 \qquad \text{(linear, one output)}",
        r"""By [balance] neighbouring blocks have the same singular values, and the last block is a row, whose only
        singular value is its length, one. So every block has rank one, and its singular vectors are those of its
        neighbours.""",
        check=rank,
        bound=1e-8,
        how="second singular values of the blocks of a linear network with three blocks",
    )
    d.equation(
        "reduced",
        r"f(V;x) = \langle a_1, x\rangle, \qquad \sum_n \psi_n \bigl(y_n x_n - \bar f_n a_1\bigr) = 0",
        r"""Insert [rank-one] into [rest] for $k = 1$: the predictor of a resting linear network of any depth is a
        resting direction of one block at the same $R$. Depth adds no resting predictors with $s \neq 0$, only frames
        $a_2, \dots, a_K$ to carry them. If $L$ is convex in the predictor, [ray] with $s > 0$ is the first-order
        condition of its minimum over the ball of radius $R$, so that these directions are global minima.""",
        check=reduced,
        bound=1e-8,
        how="the product of three blocks against the direction found for one block and the same data",
    )


def _late(d: Derivation) -> None:
    d.section("Growing norms")
    d.define(
        "weights",
        r"\alpha_n = \frac{\psi_n}{\sum_m \psi_m}, \qquad \gamma_V = \min_n \bar f_n",
        r"From here on the loss is exponential, and $\psi > 0$. Only the ratios of the pulls matter in [rest]:",
    )
    _ratio(d)
    d.equation(
        "slack",
        r"0 \le \sum_n \alpha_n (\bar f_n - \gamma_V) \le \frac{N - 1}{e R}",
        r"""By [ratio] against the sample with the least margin, $\alpha_n \le e^{-R(\bar f_n - \gamma_V)}$, and
        $z e^{-Rz} \le 1/(eR)$. The sample with the least margin contributes nothing. For the logistic loss and positive
        margins the right-hand side doubles, because $1/(1 + e^q)$ is within a factor of two of $e^{-q}$.""",
        check=lambda: max(
            max(-_slack(p), _slack(p) / ((len(p.y) - 1) / (np.e * p.R)) - 1, 0.0) for p in resting(late=LATE)
        ),
        bound=1e-12,
        how="by how much either side is violated at the resting points with $R = 5, 20, 80, 320$",
    )
    _problem(d)
    _margin(d)
    _approach(d)


def _ratio(d: Derivation, times: float = 1.0) -> None:
    def size(p: Curved) -> float:
        first = int(np.argmin(p.fb))
        # Of the logarithms: at R = 320 the ratios themselves are below the rounding of one.
        return gap(np.log(p.psi / p.psi[first]), -times * p.R * (p.fb - p.fb[first]))

    d.equation(
        "ratio",
        r"\frac{\alpha_n}{\alpha_m} = e^{-R(\bar f_n - \bar f_m)}",
        r"""Samples whose margin exceeds the least one by a fixed amount lose their weight exponentially in $R$: what is
        left of the sum is carried by $S = \{n : \bar f_n = \gamma_V\}$.""",
        check=lambda: max(size(p) for p in resting(late=LATE)),
        bound=1e-10,
        how="logarithms of the pulls of the loss against margins at the directions",
    )


def _slack(p: Curved) -> float:
    return float(p.psi @ (p.fb - p.fb.min()) / p.psi.sum())


def _problem(d: Derivation) -> None:
    def optimal() -> float:
        worst = 0.0
        for seed in range(3):
            p = rest(*SINGLE, LATE[0], seed)
            w, duals = hard_margin(p.x, p.y)
            v, alpha = w / np.linalg.norm(w), duals / duals.sum()
            fb = p.y * (p.x @ v)
            worst = max(
                worst,
                float(np.linalg.norm(alpha @ (p.y[:, None] * p.x - fb[:, None] * v))),
                float(alpha @ (fb - fb.min())),
            )
        return worst

    def stationary(p: Curved) -> float:
        alpha = p.psi / p.psi.sum()
        slopes = {k: np.tensordot(alpha, p.autodiff["slopes_V"][k], 1) for k in p.V}
        rests = max(float(np.linalg.norm(slopes[k] - p.kappa[k] * (alpha @ p.fb) * p.V[k])) for k in p.V)
        return max(rests, abs(float(alpha.sum()) - 1), -float(alpha.min()))

    d.define(
        "program",
        r"""\max_{V, \gamma}\; \gamma \quad\text{subject to}\quad \bar f_n \ge \gamma, \quad \lVert V_k\rVert = 1""",
        "The largest least margin on the spheres is the problem",
    )
    d.equation(
        "kkt",
        r"""\sum_n \alpha_n \Bigl(\frac{\partial \bar f_n}{\partial V_k} - \kappa_k\, \bar f_n V_k\Bigr) = 0, \quad
        \alpha_n \ge 0, \quad \sum_n \alpha_n = 1, \quad \sum_n \alpha_n(\bar f_n - \gamma) = 0""",
        r"""These are its first-order conditions. With multipliers $\alpha_n$ of the margins and $\mu_k$ of the spheres,
        stationarity in $\gamma$ gives $\sum_n \alpha_n = 1$ and in $V_k$ gives $\sum_n \alpha_n\, \partial\bar
        f_n/\partial V_k = \mu_k V_k$, where $\mu_k = \kappa_k \sum_n \alpha_n \bar f_n = \kappa_k \gamma$ by Euler's
        identity.""",
        check=optimal,
        bound=1e-9,
        how=(
            "one block, three data sets: at the shortest separating vector and its multipliers from nonnegative least"
            " squares"
        ),
    )
    d.equation(
        "limit",
        r"""R \to \infty, \quad (V_R, \alpha_R) \to (V_\infty, \alpha_\infty) \quad\Longrightarrow\quad \sum_{n \in S}
        \alpha_n \Bigl(\frac{\partial \bar f_n}{\partial V_k} - \kappa_k\, \gamma V_k\Bigr) = 0 \text{ at } (V_\infty,
        \alpha_\infty)""",
        r"""A resting direction with its weights satisfies the first three of [kkt] exactly, for every $R$, by [rest]
        and [weights], and the last one up to $(N-1)/(eR)$ by [slack]. So every accumulation point at which $f$ is
        continuously differentiable satisfies all of them, with weights on $S$ alone. It need not be a maximum.""",
        check=lambda: max(stationary(p) for p in resting(late=LATE)),
        bound=1e-9,
        how="the first three conditions at the resting points with $R = 5, 20, 80, 320$; the fourth is [slack]",
    )


def _predictor(p: Curved) -> np.ndarray:
    return np.ravel(p.V["W3"] @ p.V["W2"] @ p.V["W1"])


def _margin(d: Derivation, samples: bool = True) -> None:
    def size() -> float:
        worst = 0.0
        for p in resting((SINGLE, LINEAR), LATE):
            w, _ = hard_margin(p.x, p.y)
            best = 1 / float(np.linalg.norm(w))
            lost = np.log(len(p.y)) / p.R if samples else 0.0
            worst = max(worst, p.fb.min() / best - 1, (best - lost - p.fb.min()) / best)
        return worst

    d.equation(
        "margin",
        r"\gamma_* - \frac{\log N}{R} \le \min_n \bar f_n(V_R) \le \gamma_*, \qquad \gamma_* = \max_V \min_n \bar"
        r" f_n(V)",
        r"""If $V_R$ is not any resting direction but a minimiser, the limit is a maximum: $e^{-R \min \bar f(V_R)} \le
        L(V_R) \le L(V_*) \le N e^{-R\gamma_*}$. The bound says how late is late.""",
        check=size,
        bound=1e-12,
        how=r"""by how much either side is violated, relative to $\gamma_*$, at the directions found for one and three
        linear blocks, where every minimum on the spheres is global, $R = 5$ to $320$""",
    )


def _approach(d: Derivation) -> None:
    def size() -> float:
        worst = 0.0
        for p in resting((SINGLE, LINEAR), LATE):
            w, _ = hard_margin(p.x, p.y)
            length = float(np.linalg.norm(w))
            v = _predictor(p) if len(p.V) > 1 else np.ravel(p.V["W1"])
            worst = max(worst, 1 - float(v @ w) / length - np.log(len(p.y)) / p.R * length)
        return worst

    d.equation(
        "approach",
        r"1 - \langle v_R, v_*\rangle \le \frac{\log N}{R\,\gamma_*} \qquad \text{(linear, } v_R \text{ the normalised"
        r" predictor)}",
        r"""With the multipliers of [kkt] at the optimum, $\sum_n \alpha_n y_n x_n = \gamma_* v_*$, so that $\gamma_*
        \langle v_R, v_*\rangle = \sum_n \alpha_n \bar f_n(V_R) \ge \min_n \bar f_n(V_R)$, and [margin] bounds that. The
        limit is the direction of the hard margin, whatever the depth.""",
        check=size,
        bound=1e-12,
        how=(
            "by how much it is violated, $v_*$ from nonnegative least squares, one and three linear blocks, $R = 5$ to"
            " $320$"
        ),
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    def defined(*labels: str) -> Derivation:
        d = fresh()
        for label in labels:
            d.define(label, "0", "none")
        return d

    return {
        "the radial share 1% too small": lambda: _rest(fresh(), kept=0.99),
        "the same resting points at one and a half times the product": lambda: _same(defined("rest"), factor=1.5),
        "multipliers without their degrees": lambda: _multipliers(fresh(), with_degrees=False),
        "weights that fall twice as fast": lambda: _ratio(fresh(), times=2.0),
        "the margin reached at finite norms": lambda: _margin(fresh(), samples=False),
    }

"""The normalised flows: what the constraint, the parametrisation and the projection do to the equations of norms and
directions.
"""

from collections.abc import Callable

import numpy as np

from derivations.notebook import Derivation
from derivations.points import SOME, THREE, Point, dot, everywhere, gap
from derivations.variables import parametrised, pulls

LENGTH = 1.7
"""Of the vectors v under weight normalisation; a wrong power of it shows."""


def derivation() -> Derivation:
    """Equations (1.3) to (1.5): Lagrange flow, the tangent scheme, weight normalisation and its exponential form."""
    d = Derivation(
        "Normalised flows",
        """T. Poggio, A. Banburski, Q. Liao, PNAS 2020; T. Salimans, D. Kingma, Weight normalization, NeurIPS 2016, eqs.
        (2), (3); D. Morwani, H. Ramaswamy, ALT 2022 (exponential form); S. Douglas, S. Amari, S.-Y. Kung, IEEE Trans.
        Signal Processing 2000 (tangent and Lagrange rules); claims P3, P7, equations (1.3) to (1.5) of flowlab.""",
    )
    d.say(
        r"""Blocks are $W_k = \rho_k V_k$ with degrees $\kappa_k$ and $R = \prod_k \rho_k^{\kappa_k}$; margins at the
        directions are $\bar f_n = y_n f(V;x_n)$, and $\psi_n = -\ell'(R\bar f_n)$. Where a block is projected it is
        read as one long vector. Homogeneity gives two facts that all flows below are built from, [polar_flow:slope] and
        [polar_flow:euler]."""
    )
    d.define(
        "pull",
        r"G_k = \sum_n \psi_n \frac{\partial \bar f_n}{\partial V_k}, \qquad s = \sum_n \psi_n \bar f_n",
        "The pull of the samples on a direction, and a sum over samples:",
    )

    def facts(p: Point) -> float:
        return gap(
            (p.each(lambda k: p.R / p.rho[k] * p.G[k]), p.each(lambda k: dot(p.V[k], p.G[k]))),
            (p.g, p.each(lambda k: p.kappa[k] * p.s)),
        )

    d.equation(
        "facts",
        r"-\frac{\partial L}{\partial W_k} = \frac{R}{\rho_k}\, G_k, \qquad \langle V_k, G_k\rangle = \kappa_k s",
        "The slope of the loss at the polar point, and Euler's identity summed over samples.",
        check=everywhere(facts, SOME),
        bound=1e-11,
        how=f"reverse autodiff of the loss and of the margins, at {THREE}",
    )
    _lagrange(d)
    _tangent(d)
    _weight_normalisation(d)
    _exponential(d)
    d.section("What the program derives")
    d.equation(
        "program",
        r"(\dot\rho_k, \dot v_k)_{\text{derived}} = (\dot\rho_k, \dot v_k)_{\text{autodiff}}",
        "The equations that `flowlab.derive` finds for Lagrange flow, weight normalisation and its exponential form,"
        " the last two at length 1.7.",
        check=everywhere(_program, SOME),
        bound=1e-11,
        how=f"programs against autodiff in the variables of each scheme, at {THREE}",
    )
    return d


def _lagrange(d: Derivation) -> None:
    d.section("Lagrange multipliers")
    d.say(
        r"Take $(\rho, V)$ as the variables and $\lVert V_k\rVert^2 = 1$ as constraints. The norm keeps the rate of"
        r" gradient flow."
    )
    d.equation(
        "variables",
        r"\dot\rho_k = -\frac{\partial L}{\partial \rho_k} = \kappa_k \frac{R}{\rho_k}\, s, \qquad -\frac{\partial"
        r" L}{\partial V_k} = R\, G_k",
        r"The chain rule through $W_k = \rho_k V_k$: the gradient with respect to $V_k$ is $\rho_k$ times that with"
        r" respect to $W_k$ in [facts].",
        check=everywhere(
            lambda p: gap(
                (p.each(lambda k: p.kappa[k] * p.R / p.rho[k] * p.s), p.each(lambda k: p.R * p.G[k])), pulls(p)["free"]
            ),
            SOME,
        ),
        bound=1e-11,
        how=rf"reverse autodiff of $L(\rho V)$ in $\rho$ and in $V$, at {THREE}",
    )
    d.define(
        "constrained",
        r"\dot V_k = -\frac{\partial L}{\partial V_k} - 2\lambda_k V_k",
        r"Gradient flow in $V_k$ of $L + \sum_k \lambda_k(\lVert V_k\rVert^2 - 1)$ is",
    )
    _multiplier(d)
    d.equation(
        "lagrange",
        r"\dot V_k = R \sum_n \psi_n \Bigl(\frac{\partial \bar f_n}{\partial V_k} - \kappa_k\, \bar f_n V_k\Bigr) ="
        r" R\,\bigl(G_k - \kappa_k s V_k\bigr)",
        "Insert the multiplier into [constrained].",
        check=everywhere(lambda p: gap(p.each(lambda k: p.R * p.bracket[k]), _across(p, 1.0)), SOME),
        bound=1e-11,
        how=r"against the part of $-\partial L/\partial V_k$, by autodiff, across $V_k$",
    )

    def growth(p: Point) -> float:
        off = p.stretched(1.3)
        _, rate = off.derived("lagrange")
        pulled = float(off.psi @ off.margins(off.W))
        return gap(
            off.each(lambda k: 2 * dot(off.V[k], rate[k])),
            off.each(lambda k: -2 * off.kappa[k] * pulled * (dot(off.V[k], off.V[k]) - 1)),
        )

    d.equation(
        "stability",
        r"""\frac{d}{dt}\bigl(\lVert V_k\rVert^2 - 1\bigr) = -2\kappa_k \Bigl(\sum_n \psi_n q_n\Bigr)\bigl(\lVert
        V_k\rVert^2 - 1\bigr), \qquad q_n = y_n f(W;x_n)""",
        r"""Off the sphere, with the multiplier of [multiplier] kept, because Euler's identity makes
        $\langle V_k, -\partial L/\partial V_k\rangle$ equal to $\kappa_k \sum_n \psi_n q_n$ at any length. The sphere
        attracts while the sum is positive, as it is for a decreasing loss once all margins are positive, and repels
        while it is negative.""",
        check=everywhere(growth, SOME),
        bound=1e-11,
        how="the derived Lagrange flow at directions of length 1.3",
    )


def _multiplier(d: Derivation, share: float = 0.5) -> None:
    def left(p: Point) -> float:
        free = pulls(p)["free"][1]
        return max(
            abs(dot(p.V[k], free[k] - 2 * share * p.kappa[k] * p.R * p.s * p.V[k]) / dot(p.V[k], free[k])) for k in p.V
        )

    d.equation(
        "multiplier",
        r"\frac{d}{dt}\lVert V_k\rVert^2 = 2\langle V_k, \dot V_k\rangle = 0 \quad\Longrightarrow\quad \lambda_k ="
        r" \frac{\kappa_k}{2}\, R s",
        "The constraint is one linear equation for the multiplier; Euler's identity solves it.",
        check=everywhere(left, SOME),
        bound=1e-11,
        how=r"the share of $\langle V_k, -\partial L/\partial V_k\rangle$, by autodiff, that the multiplier leaves",
    )


def _across(p: Point, length: float) -> dict[str, np.ndarray]:
    """The part of -∂L/∂V across V, by autodiff at directions of some length."""
    v, free = p.stretched(length).V, pulls(p, length)["free"][1]
    return p.each(lambda k: free[k] - dot(free[k], v[k]) / dot(v[k], v[k]) * v[k])


def _tangent(d: Derivation) -> None:
    def size(p: Point) -> float:
        rate = _across(p, 1.3)
        cosine = max(abs(dot(p.V[k], a)) / float(np.linalg.norm(a)) for k, a in rate.items())
        return max(
            gap(_across(p, 1.0), p.each(lambda k: p.R * p.bracket[k])),
            gap(rate, p.stretched(1.3).derived("tangent")[1]),
            cosine,
        )

    d.section("The tangent scheme")
    d.equation(
        "tangent",
        r"""\dot V_k = \Bigl(I - \frac{V_k V_k^\top}{\lVert V_k\rVert^2}\Bigr)\Bigl(-\frac{\partial L}{\partial
        V_k}\Bigr), \qquad \frac{d}{dt}\lVert V_k\rVert^2 = 0""",
        r"""Project instead of solving for a multiplier. On the sphere this is [lagrange]; off the sphere the rate stays
        at a right angle to $V_k$, so any length is kept, which by [stability] the Lagrange flow does not do.""",
        check=everywhere(size, SOME),
        bound=1e-11,
        how=(
            "on the sphere against [lagrange]; at length 1.3 against what `flowlab.derive` finds for this scheme, and"
            " the cosine of rate and direction"
        ),
    )


def _weight_normalisation(d: Derivation) -> None:
    d.section("Weight normalisation")
    d.define(
        "reparametrised",
        r"W_k = \rho_k u_k, \qquad u_k = \frac{v_k}{\nu_k}, \qquad \nu_k = \lVert v_k\rVert",
        r"Gradient flow in $(\rho, v)$ with free vectors $v_k$, where",
    )
    d.equation(
        "wn",
        r"""\dot v_k = \frac{\rho_k}{\nu_k}\,(I - u_k u_k^\top)\Bigl(-\frac{\partial L}{\partial W_k}\Bigr)
        = \frac{R}{\nu_k}\,\bigl(G_k - \kappa_k s\, u_k\bigr)""",
        r"""A change $dv$ moves $u$ by $\nu^{-1}(I - uu^\top)\,dv$. The gradient with respect to $v$ is the transpose of
        that map, which is the map itself, applied to the gradient with respect to $u$. The rate of $\rho_k$ is that of
        [variables], with $u_k$ in place of $V_k$.""",
        check=everywhere(
            lambda p: gap(p.each(lambda k: p.R / LENGTH * p.bracket[k]), pulls(p, LENGTH)["normalised"][1]), SOME
        ),
        bound=1e-11,
        how=rf"reverse autodiff of $L(\rho v/\lVert v\rVert)$ in $v$ at length 1.7, at {THREE}",
    )
    d.equation(
        "length",
        r"\frac{d}{dt}\nu_k^2 = 2\langle v_k, \dot v_k\rangle = 0",
        r"The loss does not depend on $\nu_k$, so its gradient has no part along $v_k$ and the flow keeps every"
        r" length.",
        check=everywhere(
            lambda p: max(
                abs(dot(p.V[k], a)) / float(np.linalg.norm(a)) for k, a in pulls(p, LENGTH)["normalised"][1].items()
            ),
            SOME,
        ),
        bound=1e-11,
        how="the cosine of the angle between $v_k$ and its rate, by autodiff",
    )
    _slower(d)


def _slower(d: Derivation, power: int = 2) -> None:
    d.equation(
        "slower",
        r"\dot u_k = \frac{R}{\nu_k^2}\,\bigl(G_k - \kappa_k s\, u_k\bigr)",
        r"""Once more the map from $dv$ to $du$. At $\nu_k = 1$ this is the Lagrange flow; otherwise the direction's
        clock is slower by $\nu_k^2$, not by $\nu_k$.""",
        check=everywhere(
            lambda p: gap(p.each(lambda k: p.R / LENGTH**power * p.bracket[k]), pulls(p, LENGTH)["turn"]), SOME
        ),
        bound=1e-11,
        how=r"forward autodiff of $v/\lVert v\rVert$ along the flow, at length 1.7",
    )


def _exponential(d: Derivation) -> None:
    d.section("Exponential weight normalisation")
    d.equation(
        "ewn",
        r"""\rho_k = e^{a_k}, \quad \dot a_k = -\frac{\partial L}{\partial a_k} \quad\Longrightarrow\quad
        \dot\rho_k = \rho_k^2 \cdot \kappa_k \frac{R}{\rho_k}\, s = \kappa_k R\, \rho_k\, s""",
        r"The norm enters once in the gradient with respect to $a_k$ and once in $\dot\rho_k = \rho_k \dot a_k$."
        r" Directions move as in [wn].",
        check=everywhere(
            lambda p: gap(
                p.each(lambda k: p.kappa[k] * p.R * p.rho[k] * p.s),
                parametrised(p, "exponential_weight_normalization")[0],
            ),
            SOME,
        ),
        bound=1e-11,
        how=rf"reverse autodiff of $L(e^{{a}} v/\lVert v\rVert)$ in $a$, at {THREE}",
    )


def _program(p: Point) -> float:
    long, found = p.stretched(LENGTH), pulls(p, LENGTH)
    exponential = (p.each(lambda k: p.rho[k] * found["exponential"][0][k]), found["exponential"][1])
    return max(
        gap(p.derived("lagrange"), parametrised(p, "lagrange")),
        gap(long.derived("weight_normalization"), found["normalised"]),
        gap(long.derived("exponential_weight_normalization"), exponential),
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    return {
        "the multiplier without its half": lambda: _multiplier(fresh(), share=1.0),
        "the multiplier 1% off": lambda: _multiplier(fresh(), share=0.505),
        "the clock of weight normalisation with one power of the length": lambda: _slower(fresh(), power=1),
    }

"""Four rules that descend on the unit sphere: one circle, four angles."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp

from derivations.notebook import Derivation
from derivations.points import dot, gap
from flowlab.discrete import rules

STEPS = (0.02, 0.01, 0.005, 0.0025)
SLOPE, PULL, ETA = sp.symbols("tau a eta", positive=True)
WHERE = "random unit vectors and gradients in eight dimensions"


def derivation() -> Derivation:
    """Equation (1.14) and claim P6: the orders of the unit-norm rules, with their constants."""
    d = Derivation(
        "Four ways to descend on the unit sphere",
        """S. Douglas, S. Amari, S.-Y. Kung, On gradient adaptation with unit-norm constraints, IEEE Trans. Signal
        Processing 2000; claim P6, equation (1.14) of flowlab.""",
    )
    d.say(
        r"""A direction $u$ of length one is moved by a step $\eta$ along a vector $g$, the negative gradient. All four
        rules move $u$ within the plane of $u$ and $g$; they differ in how far they go and in whether they leave the
        circle of radius one."""
    )
    d.define(
        "split",
        r"a = \langle u, g\rangle, \qquad t = g - a u, \qquad \tau = \lVert t\rVert, \qquad e = t/\tau",
        "Split $g$ along and across $u$:",
    )
    _forms(d)
    _limit(d)
    _other_norms(d)
    d.section("One step")
    d.equation(
        "angles",
        r"""\begin{gathered}
        \theta_{\text{coefficient}} = \eta\tau - a\tau\eta^2 + O(\eta^3), \qquad
        \theta_{\text{tangent}} = \eta\tau - \tfrac13 \tau^3\eta^3 + O(\eta^5), \\
        \theta_{\text{geodesic}} = \eta\tau
        \end{gathered}""",
        "Expand the arctangents of [circle]; tangent means rule 3 with renormalisation.",
        check=_series,
        bound=0.0,
        how="series coefficients, symbolically",
    )
    _orders(d)
    d.equation(
        "constants",
        r"""\begin{gathered}
        \frac{\lVert u_{\text{coefficient}} - u_{\text{geodesic}}\rVert}{\eta^2} \to |a|\tau, \qquad
        \frac{\lVert u_{\text{tangent}} - u_{\text{geodesic}}\rVert}{\eta^3} \to \tfrac13 \tau^3, \\
        \frac{\lVert u_{\text{raw}} - u_{\text{geodesic}}\rVert}{\eta^2} \to \tfrac12 \tau^2
        \end{gathered}""",
        r"""Points of the circle are as far apart as their angles, to leading order, and the raw rules end at distance
        $\tfrac12\eta^2\tau^2$ outside it. The coefficient rule gains an order where $a = 0$: its error is the radial
        pull.""",
        check=lambda: float(max(abs(found - wanted) / wanted for found, wanted in _constants())),
        bound=1e-2,
        how=r"the quotients at $\eta = 10^{-3}$, relative",
    )
    _drift(d)
    return d


def _random(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    u, g = rng.normal(size=(2, 8))
    # Added along u so that a > 0, of the size of the rest: the constants to be seen are then all of one size.
    return u / np.linalg.norm(u), g + 1.5 * u / np.linalg.norm(u)


@cache
def _compiled(name: str) -> Callable[[Any, Any, Any], Any]:
    return jax.jit(rules[name]().update)


def step(name: str, u: np.ndarray, g: np.ndarray, eta: float) -> np.ndarray:
    """One step by flowlab's rule."""
    return np.asarray(_compiled(name)(u, g, jnp.asarray(eta)))


def split(u: np.ndarray, g: np.ndarray) -> tuple[float, float, np.ndarray]:
    """a, τ and e."""
    a = dot(u, g)
    t = g - a * u
    return a, float(np.linalg.norm(t)), t / np.linalg.norm(t)


def _forms(d: Derivation, kept: float = 1.0) -> None:
    def raw() -> float:
        found = []
        for seed in range(5):
            u, g = _random(seed)
            a, _, _ = split(u, g)
            found += [gap(u + 0.1 * (g - kept * a * u), step(name, u, g, 0.1)) for name in ("lagrange", "tangent")]
        return max(found)

    def circle() -> float:
        worst = 0.0
        for seed in range(5):
            u, g = _random(seed)
            a, tau, e = split(u, g)
            angles = {
                "coefficient": np.arctan(0.1 * tau / (1 + 0.1 * a)),
                "tangent_renormalised": np.arctan(0.1 * tau),
                "geodesic": 0.1 * tau,
            }
            worst = max(
                worst,
                *(gap(np.cos(angle) * u + np.sin(angle) * e, step(name, u, g, 0.1)) for name, angle in angles.items()),
            )
        return worst

    d.equation(
        "raw",
        r"u^+_{\text{Lagrange}} = u^+_{\text{raw tangent}} = u + \eta\tau\, e, \qquad \lVert u^+\rVert^2 = 1 +"
        r" \eta^2\tau^2",
        r"""Rule 1 subtracts $a u$ from $g$, which is a Lagrange multiplier; rule 3 multiplies $g$ by
        $I - uu^\top/\lVert u\rVert^2$. On the sphere that is the same step along the tangent.""",
        check=raw,
        bound=1e-14,
        how=rf"against the rules of flowlab with $\eta = 0.1$, at five {WHERE}",
    )
    d.equation(
        "circle",
        r"""\begin{gathered}
        u^+ = u \cos\theta + e \sin\theta, \\
        \tan\theta_{\text{coefficient}} = \frac{\eta\tau}{1 + \eta a}, \quad \tan\theta_{\text{tangent}} = \eta\tau,
        \quad \theta_{\text{geodesic}} = \eta\tau
        \end{gathered}""",
        r"""Rule 2 divides $u + \eta g = (1 + \eta a) u + \eta\tau e$ by its length, rule 3 with renormalisation divides
        [raw] by it, and rule 4 moves along the great circle by the length of the tangential step. All end on the circle
        through $u$ and $e$, as long as $1 + \eta a > 0$.""",
        check=circle,
        bound=1e-14,
        how=rf"against the rules of flowlab with $\eta = 0.1$, at five {WHERE}",
    )


def _limit(d: Derivation) -> None:
    def size() -> float:
        worst = 0.0
        for name in ("lagrange", "coefficient", "tangent", "tangent_renormalised", "geodesic"):
            rate = jax.jit(jax.jacfwd(rules[name]().update, 2))
            for seed in range(3):
                u, g = _random(seed)
                worst = max(worst, gap(np.asarray(rate(u, g, jnp.asarray(0.0))), g - dot(u, g) * u))
        return worst

    d.equation(
        "limit",
        r"\frac{d u^+}{d\eta}\Big|_{\eta = 0} = \tau e = (I - u u^\top)\, g",
        "To first order the angles of [circle] and the step of [raw] agree: on the sphere all rules discretise one"
        " flow.",
        check=size,
        bound=1e-12,
        how="forward autodiff of the five rules in the step size",
    )


def _other_norms(d: Derivation, with_normal: bool = True) -> None:
    def size() -> float:
        worst = 0.0
        for power in (1.5, 3.0, 4.0):
            for seed in range(3):
                u, g = _random(seed)
                normal = (
                    np.sign(u) * np.abs(u) ** (power - 1) * np.sum(np.abs(u) ** power) ** (1 / power - 1)
                    if with_normal
                    else u
                )
                kept = g - dot(normal, g) / dot(normal, normal) * normal
                rate = jax.jvp(lambda v, power=power: jnp.sum(jnp.abs(v) ** power) ** (1 / power), (u,), (kept,))[1]
                worst = max(worst, abs(float(rate)) / float(np.linalg.norm(kept)))
        return worst

    d.equation(
        "other-norms",
        r"""\dot u = \Bigl(I - \frac{\nu\nu^\top}{\nu^\top\nu}\Bigr) g, \quad \nu =
        \frac{\partial \lVert u\rVert_p}{\partial u} \quad\Longrightarrow\quad \frac{d}{dt} \lVert u\rVert_p = 0""",
        r"""Rule 3 carries over to any norm that is differentiable where the flow passes: what has to go is the part of
        $g$ along the gradient of the norm, which for $p = 2$ is $u/\lVert u\rVert$ and [limit].""",
        check=size,
        bound=1e-12,
        how=f"forward autodiff of the norm along the rate, $p = 1.5, 3, 4$, at three {WHERE}",
    )


def _series() -> float:
    coefficient = sp.series(sp.atan(ETA * SLOPE / (1 + ETA * PULL)), ETA, 0, 3).removeO()
    tangent = sp.series(sp.atan(ETA * SLOPE), ETA, 0, 5).removeO()
    gaps = (coefficient - (ETA * SLOPE - PULL * SLOPE * ETA**2), tangent - (ETA * SLOPE - SLOPE**3 * ETA**3 / 3))
    return float(any(sp.expand(g) != 0 for g in gaps))


def _apart(name: str, eta: float, seed: int = 0) -> float:
    u, g = _random(seed)
    return float(np.linalg.norm(step(name, u, g, eta) - step("geodesic", u, g, eta)))


def _constants() -> list[tuple[float, float]]:
    found, eta = [], 1e-3
    for seed in range(3):
        a, tau, _ = split(*_random(seed))
        for name, order, wanted in (
            ("coefficient", 2, abs(a) * tau),
            ("tangent_renormalised", 3, tau**3 / 3),
            ("tangent", 2, tau**2 / 2),
        ):
            found.append((_apart(name, eta, seed) / eta**order, wanted))
    return found


def _orders(d: Derivation, renormalised: int = 3) -> None:
    def size() -> float:
        wanted = {"coefficient": 2, "tangent_renormalised": renormalised, "tangent": 2}
        fits = {name: np.polyfit(np.log(STEPS), np.log([_apart(name, eta) for eta in STEPS]), 1)[0] for name in wanted}
        return float(max(abs(fits[name] - order) for name, order in wanted.items()))

    d.equation(
        "orders",
        r"""\begin{gathered}
        \lVert u_{\text{coefficient}} - u_{\text{geodesic}}\rVert = O(\eta^2), \qquad \lVert u_{\text{tangent}} -
        u_{\text{geodesic}}\rVert = O(\eta^3), \\
        \lVert u_{\text{raw}} - u_{\text{geodesic}}\rVert = O(\eta^2)
        \end{gathered}""",
        "The differences of the angles [angles], and for the raw rules their distance from the circle [raw].",
        check=size,
        bound=0.1,
        how=r"exponents fitted over $\eta = 0.02, \dots, 0.0025$",
    )


def _pull(u: Any) -> Any:
    """The negative gradient of a quadratic function, from a fixed symmetric matrix with norm one."""
    matrix = np.random.default_rng(7).normal(size=(8, 8))
    matrix = (matrix + matrix.T) / np.linalg.norm(matrix + matrix.T, 2)
    return jnp.asarray(np.linspace(0.2, 1.0, 8)) - jnp.asarray(matrix) @ u


@cache
def _walk(name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions and gradients of a rule over unit time."""

    def once(u: Any, _: None) -> tuple[Any, Any]:
        g = _pull(u)
        return rules[name]().update(u, g, 1.0 / count), (u, g)

    end, (us, gs) = jax.jit(lambda u: jax.lax.scan(once, u, None, length=count))(jnp.asarray(_random(0)[0]))
    return np.concatenate([np.asarray(us), np.asarray(end)[None]]), np.asarray(gs)


def _drift(d: Derivation) -> None:
    d.section("Many steps")

    def rule(name: str) -> float:
        us, gs = _walk(name, 100)
        along, squares, eta = np.sum(us[:-1] * gs, axis=1), np.sum(us**2, axis=1), 0.01
        across = gs - (along if name == "lagrange" else along / squares[:-1])[:, None] * us[:-1]
        predicted = eta**2 * np.sum(across**2, axis=1) + (
            2 * eta * along * (1 - squares[:-1]) if name == "lagrange" else 0.0
        )
        return float(np.max(np.abs(np.diff(squares) - predicted)))

    def kept() -> float:
        return max(
            float(np.max(np.abs(np.linalg.norm(_walk(name, 100)[0], axis=1) - 1)))
            for name in ("coefficient", "tangent_renormalised", "geodesic")
        )

    def slope() -> float:
        sizes = {
            name: [abs(np.linalg.norm(_walk(name, count)[0][-1]) - 1) for count in (50, 100, 200, 400)]
            for name in ("lagrange", "tangent")
        }
        return float(max(abs(np.polyfit(np.log([50, 100, 200, 400]), np.log(s), 1)[0] + 1) for s in sizes.values()))

    d.equation(
        "kept",
        r"\lVert u^+\rVert = 1 \qquad \text{(coefficient, renormalised tangent, geodesic)}",
        "By [circle]; nothing accumulates.",
        check=kept,
        bound=1e-13,
        how="lengths along 100 steps for a quadratic function",
    )
    d.equation(
        "growth",
        r"""\Delta \lVert u\rVert^2 = \begin{cases} 2\eta a\,(1 - \lVert u\rVert^2) + \eta^2 \lVert g - a u\rVert^2 &
        \text{Lagrange} \\
        \eta^2 \lVert g - a u/\lVert u\rVert^2\rVert^2 & \text{raw tangent} \end{cases}""",
        r"""Exact for every step, also off the sphere. The raw tangent rule can only grow, and keeps what it has gained.
        The Lagrange rule is pulled back to the sphere while $a > 0$ and pushed away from it while $a < 0$, as its flow
        is.""",
        check=lambda: max(rule("lagrange"), rule("tangent")),
        bound=1e-14,
        how="100 steps for a quadratic function, the recorded change of the squared length against the right-hand side",
    )
    d.equation(
        "order",
        r"\bigl|\lVert u(1)\rVert - 1\bigr| = O(\eta) \qquad \text{(Lagrange, raw tangent)}",
        r"Sum [growth] over the $1/\eta$ steps of unit time; each adds $O(\eta^2)$.",
        check=slope,
        bound=0.1,
        how="exponents fitted over 50 to 400 steps",
    )


def _unnormal() -> None:
    d = Derivation("control", "none")
    d.define("limit", "0", "none")
    _other_norms(d, with_normal=False)


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    return {
        "the projection 1% too weak": lambda: _forms(fresh(), kept=0.99),
        "the radius in place of the gradient of another norm": _unnormal,
        "the renormalised tangent rule of second order": lambda: _orders(fresh(), renormalised=2),
    }

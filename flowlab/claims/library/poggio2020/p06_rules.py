"""P6 and P20: the discrete rules against their continuous limit, and the exact one-step identity of gradient descent."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import hypothesis, layered, own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import samples_for, small_data, visited
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import ClaimError

_STEPS = (0.008, 0.004, 0.002, 0.001)


def order_of(sizes: Sequence[float]) -> tuple[float, float]:
    """The order of what was measured at four steps, each half of the one before, and its error bar.

    Between two steps the local order is p + c η + ...: doubled at the finer pair and less the coarser one it lacks η² only. The bar is what
    the coarser three steps give otherwise.
    """
    a, b, c = (math.log2(x / y) if x > 0 and y > 0 else math.nan for x, y in itertools.pairwise(sizes))
    return 2 * c - b, abs((2 * c - b) - (2 * b - a))


_ORDERS = {
    "coefficient": 2.0,
    "tangent_renormalised": 3.0,
    "tangent": 2.0,
    "drift of lagrange": 1.0,
    "drift of tangent": 1.0,
}


@claim("P6")
class RuleOrders(Claim):
    """One-step differences of the four unit-norm rules are of orders 2, 3, 2 and their norm drift of order 1."""

    title = "orders of the four unit-norm rules"
    statement = (
        "In one step the coefficient rule differs from the geodesic one by O(eta^2) as the raw tangent rule does, "
        "the renormalised tangent rule by O(eta^3), and the norms of the Lagrange and of the raw tangent rule drift by O(eta) in unit time."
    )
    latex = (
        r"|u_{\text{coef}} - u_{\text{geo}}| = O(\eta^2),\; |u_{\text{tan,renorm}} - u_{\text{geo}}| = O(\eta^3),\; "
        r"|u_{\text{tan}} - u_{\text{geo}}| = O(\eta^2),\; \text{drift} = O(\eta)"
    )
    source = "(1.14) of flowlab's derivations, after Douglas, Amari and Kung 2000"
    hypotheses = (own_instances,)
    stated = Variant(orders=_ORDERS)
    mutants = (
        stated.but("renormalised tangent expected of order 2", orders=_ORDERS | {"tangent_renormalised": 2.0}),
        stated.but("coefficient expected of order 3", orders=_ORDERS | {"coefficient": 3.0}),
        stated.but("lagrange expected to keep the norm at order 2", orders=_ORDERS | {"drift of lagrange": 2.0}),
    )
    counter_example = "renormalised tangent expected of order 2: the rule is one order better than the raw one"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        import jax
        import jax.numpy as jnp

        from flowlab.discrete.descent.rules import rules

        rng = np.random.default_rng(case.seed)
        matrix = rng.normal(size=(8, 8))
        matrix = jnp.asarray((matrix + matrix.T) / np.linalg.norm(matrix + matrix.T, 2))
        pull = jnp.asarray(rng.normal(size=8))

        def g(v: Any) -> Any:
            return pull - matrix @ v

        # Where u is nearly orthogonal to g the second-order terms nearly vanish, and with them the orders to be seen.
        while True:
            u = rng.normal(size=8)
            u = jnp.asarray(u / np.linalg.norm(u))
            if abs(float(u @ g(u))) > 0.3 * float(jnp.linalg.norm(g(u))):
                break

        def apart(name: str, step: float) -> float:
            other = rules["geodesic"]().update(u, g(u), step)
            return float(jnp.linalg.norm(rules[name]().update(u, g(u), step) - other))

        def drift(name: str, step: float) -> float:
            rule = rules[name]()
            end = jax.lax.fori_loop(0, round(1.0 / step), lambda _, v: rule.update(v, g(v), step), u)
            return abs(float(jnp.linalg.norm(end)) - 1.0)

        told = []
        for name, order in variant.orders.items():

            def sizes(name: str = name) -> list[float]:
                return [
                    drift(name.removeprefix("drift of "), h) if name.startswith("drift") else apart(name, h)
                    for h in _STEPS
                ]

            value, bar = order_of(case.once(f"P6 {name}", sizes))
            told.append(
                Quantity(
                    f"order of {name}",
                    value,
                    order,
                    4e-3 * order,
                    error=bar,
                    route="local orders at four steps, extrapolated",
                )
            )
        kept = case.once("P6 kept", lambda: max(drift(name, 0.004) for name in ("coefficient", "geodesic")))
        told.append(Quantity("norm drift of the coefficient and geodesic rules", kept, 0.0, 1e-13, route="250 steps"))
        return Measurement.of(
            told,
            "local orders lack terms of order eta^2 after extrapolation; rules 2 and 4 keep the norm to roundings",
            steps=list(_STEPS),
        )


@hypothesis("two or more blocks without weight decay")
def _several_blocks(case: Case) -> str | None:
    if case.problem is not None and any(case.problem.decay.values()):
        return "weight decay adds its own change of the norms"
    if case.problem is not None and len(case.problem.network.weights) < 2:
        return "the network has one block only"
    return None


@claim("P20")
class DescentBalance(Claim):
    """Every step of gradient descent changes ρ_k² - ρ_j² by exactly η²(‖g_k‖² - ‖g_j‖²); in total by O(η)."""

    title = "equal growth under gradient descent: exact one-step identity"
    statement = (
        "A step of gradient descent changes rho_k^2/kappa_k - rho_j^2/kappa_j by exactly eta^2(|g_k|^2/kappa_k - |g_j|^2/kappa_j); "
        "over a fixed time the change is O(eta)."
    )
    latex = r"\Delta(\rho_k^2 - \rho_j^2) = \eta^2(\lVert g_k\rVert^2 - \lVert g_j\rVert^2)"
    source = "one step of descent in (1.8) of flowlab's derivations, after Poggio, Banburski, Liao 2020"
    hypotheses = (layered, _several_blocks)
    stated = Variant(factor=lambda _: 1.0, late=0, order=1.0)
    mutants = (
        stated.but("eta instead of eta^2", factor=lambda step: 1.0 / step),
        stated.but("1% off", factor=lambda _: 1.01),
        stated.but("gradients of the next step", late=1),
        stated.but("drift expected of order 2", order=2.0),
    )
    counter_example = "eta instead of eta^2: the change is second order in one step"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        walks = case.once("P20 walks", lambda: _walks(case))
        own = [] if not _usable(case) else [(float(case.descent.provenance["settings"]["step"]), case.descent)]
        apart, drifts = [], []
        for step, walk in [*walks, *own]:
            degrees = np.array(
                [float(walk.problem.network.symmetry.degree(w) or 1) for w in walk.problem.network.weights]
            )
            blocks = list(walk.problem.network.weights)
            squares = walk.dataset["rho"].sel(block=blocks).values ** 2 / degrees
            lengths = walk.dataset["step_sq"].values / degrees
            change = np.diff(squares - squares[:, :1], axis=0)
            used = np.diff(lengths, axis=0)
            predicted = variant.factor(step) * (used - used[:, :1])
            change, predicted = change[: len(change) - variant.late], predicted[variant.late :]
            # Squares of norms are differenced: their roundings, not those of the small change, set the scale.
            noise = 1e-13 * float(squares.max())
            size = float(np.abs(predicted).max())
            apart.append(float(np.abs(change - predicted).max()) / (1e-10 * size + noise))
            drifts.append(float(np.abs((squares - squares[:, :1])[-1] - (squares - squares[:, :1])[0]).max()))
        # Where nothing drifts (features that are all zero) there is no order and nothing is decided.
        order, bar = order_of(drifts[1 : len(walks)])
        told = [
            Quantity(
                "error of the one-step identity, in tolerances",
                float(np.max(apart)),
                0.0,
                1.0,
                route="all rows of five descents",
            ),
            Quantity(
                "order of the drift in eta",
                order,
                variant.order,
                4e-3,
                error=0.0 if math.isnan(bar) else bar,
                route="four smaller steps, extrapolated",
            ),
        ]
        because = "1e-10 of the change plus 1e-13 of the squares for the identity; local orders lack terms of order eta^2 after extrapolation"
        return Measurement.of(told, because, network=walks[0][1].problem.network.text, steps=[s for s, _ in walks])


def _usable(case: Case) -> bool:
    """Whether a descent with steps of one size was given, with what the identity needs."""
    return (
        case.descent is not None
        and "step_sq" in case.descent.dataset
        and not case.descent.provenance["settings"]["loss_scaled"]
    )


def _walks(case: Case) -> list[tuple[float, Any]]:
    """Gradient descent over one time at a step size and at a quarter of it, halved three times more, in as many rows each.

    The identity is exact at every step size and, summed, between rows; the order is told by the small ones.
    """
    from flowlab.discrete import descend
    from flowlab.language.problem import Problem

    if _usable(case):
        problem, data = case.descent.problem, case.data
        settings, start = case.descent.provenance["settings"], case.descent.state(0)
        step, count = float(settings["step"]), 50
    else:
        problem, data = case.problem or Problem("W2 @ relu(W1 @ x)"), samples_for(case, small_data(case.seed))
        start, step, count = next(iter(visited(case, problem, data, 1))), 1e-3, 100
    found = [
        (step / k, descend(problem, start, data, step=step / k, count=count * k, record_every=k))
        for k in (1, 4, 8, 16, 32)
    ]
    for size, walk in found:
        if not walk.outcome.ok:
            raise ClaimError(
                f"a descent with steps of {size:g} ended early ({walk.outcome}); give a descent with shorter ones, or take another seed."
            )
    return found

"""P6: orders of the discrete rules."""

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.flows import order_of
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Array
from flowlab.language.rules import rules

_STEPS = (0.008, 0.004, 0.002, 0.001)
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
        "In one step the coefficient rule and the raw tangent rule differ from the geodesic rule by O(eta^2), the "
        "renormalised tangent rule by O(eta^3). The norms of the Lagrange and of the raw tangent rule drift by O(eta) "
        "in unit time."
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
        rng = np.random.default_rng(case.seed)
        matrix = rng.normal(size=(8, 8))
        matrix = jnp.asarray((matrix + matrix.T) / np.linalg.norm(matrix + matrix.T, 2))
        pull = jnp.asarray(rng.normal(size=8))

        def g(v: Array) -> Array:
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

        quantities = []
        for name, order in variant.orders.items():

            def sizes(name: str = name) -> list[float]:
                return [
                    drift(name.removeprefix("drift of "), h) if name.startswith("drift") else apart(name, h)
                    for h in _STEPS
                ]

            value, bar = order_of(case.once(f"P6 {name}", sizes))
            quantities.append(
                Quantity(
                    f"order of {name}",
                    value,
                    order,
                    4e-3 * order,
                    error=bar,
                    route="local orders at four steps, extrapolated",
                )
            )
        norm_drift = case.once("P6 kept", lambda: max(drift(name, 0.004) for name in ("coefficient", "geodesic")))
        quantities.append(
            Quantity("norm drift of the coefficient and geodesic rules", norm_drift, 0.0, 1e-13, route="250 steps")
        )
        return Measurement.of(
            quantities,
            "local orders lack terms of order eta^2 after extrapolation; rules 2 and 4 keep the norm to roundings",
            steps=list(_STEPS),
        )

"""P6 and P20: the discrete rules against their continuous limit, and the exact one-step identity of gradient descent."""

from typing import Any

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.instances import layered
from flowlab.claims.verdict import Measurement

_STEPS = (0.004, 0.002, 0.001, 0.0005)


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
    source = "Douglas, Amari and Kung 2000; eq. (1.14)"
    mutants = ("renormalised tangent expected of order 2", "coefficient expected of order 3", "lagrange expected to keep the norm at order 2")
    counter_example = "renormalised tangent expected of order 2: the rule is one order better than the raw one"

    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        import jax
        import jax.numpy as jnp
        import numpy as np

        from flowlab.discrete.rules import rules

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

        wanted = {"coefficient": 2.0, "tangent_renormalised": 3.0, "tangent": 2.0, "drift of lagrange": 1.0, "drift of tangent": 1.0}
        if mutant == self.mutants[0]:
            wanted["tangent_renormalised"] = 2.0
        if mutant == self.mutants[1]:
            wanted["coefficient"] = 3.0
        if mutant == self.mutants[2]:
            wanted["drift of lagrange"] = 2.0
        slopes = {}
        for name in wanted:
            sizes = [drift(name.removeprefix("drift of "), h) if name.startswith("drift") else apart(name, h) for h in _STEPS]
            slopes[name] = float(np.polyfit(np.log(_STEPS), np.log(sizes), 1)[0])
        kept = max(drift(name, 0.004) for name in ("coefficient", "geodesic"))
        worst = max(abs(slopes[name] - order) for name, order in wanted.items())
        return Measurement(max(worst, kept / 1e-13), 0.1, "fitted slopes over eta = 0.004 … 0.0005 to 0.1; rules 2 and 4 keep the norm to roundings",
                           {"slopes": slopes, "norm_kept_to": kept})  # fmt: skip


@claim("P20")
class DescentBalance(Claim):
    """Every step of gradient descent changes ρ_k² - ρ_j² by exactly η²(‖g_k‖² - ‖g_j‖²); in total by O(η)."""

    title = "equal growth under gradient descent: exact one-step identity"
    statement = (
        "A step of gradient descent changes rho_k^2/kappa_k - rho_j^2/kappa_j by exactly eta^2(|g_k|^2/kappa_k - |g_j|^2/kappa_j); "
        "over a fixed time the change is O(eta)."
    )
    latex = r"\Delta(\rho_k^2 - \rho_j^2) = \eta^2(\lVert g_k\rVert^2 - \lVert g_j\rVert^2)"
    source = "discretisation of eq. (1.8)"
    mutants = ("eta instead of eta^2", "1% off", "gradients of the next step", "drift expected of order 2")
    counter_example = "eta instead of eta^2: the change is second order in one step"

    def hypotheses(self, case: Case) -> str | None:
        told = layered(case)
        if told is None and case.problem is not None and any(case.problem.decay.values()):
            return "weight decay adds its own change of the norms"
        if told is None and case.problem is not None and len(case.problem.network.weights) < 2:
            return "the network has one block only"
        return told

    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        import numpy as np

        walks = _walks(case)
        worst, drifts = 0.0, []
        for step, walk in walks:
            degrees = np.array([float(walk.problem.network.symmetry.degree(w) or 1) for w in walk.problem.network.weights])
            blocks = list(walk.problem.network.weights)
            squares = walk.dataset["rho"].sel(block=blocks).values ** 2 / degrees
            lengths = walk.dataset["step_sq"].values / degrees
            change = np.diff(squares - squares[:, :1], axis=0)
            factor = 1.0 / step if mutant == "eta instead of eta^2" else 1.01 if mutant == "1% off" else 1.0
            used = np.diff(lengths, axis=0)
            predicted = factor * (used - used[:, :1])
            if mutant == "gradients of the next step":
                change, predicted = change[:-1], predicted[1:]
            # Squares of norms are differenced: their roundings, not those of the small change, set the scale.
            noise = 1e-13 * float(squares.max())
            size = float(np.abs(predicted).max())
            worst = max(worst, float(np.abs(change - predicted).max()) / (1e-10 * size + noise))
            drifts.append(float(np.abs((squares - squares[:, :1])[-1] - (squares - squares[:, :1])[0]).max()))
        # Where nothing drifts (features that are all zero) there is no order to fit and nothing is decided.
        moved = min(drifts[1:]) > 0
        order = float(np.polyfit(np.log([s for s, _ in walks[1:]]), np.log(drifts[1:]), 1)[0]) if moved else float("nan")
        wanted = 2.0 if mutant == "drift expected of order 2" else 1.0
        because = "in units of the tolerances: 1e-10 of the change plus 1e-13 of the squares for the identity, 0.1 for the order"
        details = {"order": order, "identity_in_tolerances": worst, "network": walks[0][1].problem.network.text, "steps": [s for s, _ in walks]}
        return Measurement(max(worst, abs(order - wanted) / 0.1) if moved else float("nan"), 1.0, because, details)


_WALKS: dict[Any, Any] = {}


def _walks(case: Case) -> list[tuple[float, Any]]:
    """Gradient descent over one time at a step size and at a quarter, an eighth and a sixteenth of it, in as many rows each.

    The identity is exact at every step size and, summed, between rows; the order is fitted on the small ones.
    """
    from flowlab.claims.instances import small_data, states
    from flowlab.discrete import descend
    from flowlab.language.problem import Problem

    if case.walk is not None and "step_sq" in case.walk.dataset and not case.walk.provenance["settings"]["loss_scaled"]:
        problem, data = case.problem, case.data
        settings, start = case.walk.provenance["settings"], case.walk.state(0)
        step, count = float(settings["step"]), 50
    else:
        problem, data = case.problem or Problem("W2 @ relu(W1 @ x)"), case.data if case.data is not None else small_data(case.seed)
        start, step, count = next(iter(states(problem, data, case.seed, 1))), 1e-3, 100
    key = (problem.signature, data.sha256(), step, case.seed)
    if key not in _WALKS:
        _WALKS[key] = [(step / k, descend(problem, start, data, step=step / k, count=count * k, record_every=k)) for k in (1, 4, 8, 16)]
    return _WALKS[key]

"""Constants of the theory on seeds of their own: late linear nets, growth of deep ones, vanishing regularisation, the
smoothed margin under every scheme.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize, nnls

import flowlab as fl

DEEP = {1: "W1 @ x", 2: "W2 @ W1 @ x", 3: "W3 @ W2 @ W1 @ x", 4: "W4 @ W3 @ W2 @ W1 @ x"}
THIRD, FOURTH = (pytest.param(K, marks=pytest.mark.slow) for K in (3, 4))


def separable(n, d, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.sign(x @ w)
    return fl.Data(x + 0.3 * np.outer(y, w) / np.linalg.norm(w), y)


def signed(data):
    return np.asarray(data.x) * np.asarray(data.y)[:, None]


def hard_margin(z):
    """By SciPy, polished on the active set: w_svm, its multipliers, and w~ of least norm with z_n w~ = -log alpha_n on
    the support.
    """
    found = minimize(
        lambda w: w @ w / 2,
        10 * z.mean(axis=0),
        jac=lambda w: w,
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 2000},
        constraints={"type": "ineq", "fun": lambda w: z @ w - 1, "jac": lambda w: z},
    )
    active = z @ found.x < 1 + 1e-6
    w = np.linalg.lstsq(z[active], np.ones(active.sum()), rcond=None)[0]
    alpha, residual = nnls(z[active].T, w)
    assert residual < 1e-9
    assert (alpha > 1e-6).all()
    return w, active, alpha, np.linalg.lstsq(z[active], -np.log(alpha), rcond=None)[0]


@cache
def lowered(text, **told):
    return fl.lower(fl.derive(fl.Problem(text, **({"coordinates": "weights"} | told))))


def late(data, K, seed, log_t, start=None, **told):
    widths = {f"W{k}": 3 for k in range(1, K)} or None
    start = start or fl.initial_state(DEEP[K], data, widths=widths, seed=seed)
    path = fl.integrate(lowered(DEEP[K], **told), start, data, until=fl.log_time(log_t))
    assert path.outcome.kind == "done", path.outcome
    assert float(path.dataset.log_t[-1]) == pytest.approx(log_t, rel=1e-12)
    return path


def across(w, V):
    return float(np.linalg.norm(w - V * (V @ w)))


@pytest.mark.parametrize(
    "told",
    [{}, *(pytest.param(t, marks=pytest.mark.slow) for t in ({"coordinates": "polar"}, {"loss": "logistic"}))],
    ids=["weights", "polar", "logistic"],
)
def test_constants_of_the_linear_net(told):
    """P8 and S2: L t tends to 1/γ², z_n w~ to -log α_n, R|P_perp V| to |P_perp w~| and R (γ - margin) to max log α + γ
    V·w~, to 1e-8 and to 1/R.
    """
    spans = 0
    for seed in range(50, 60):
        data = separable(8, 3, seed)
        z = signed(data)
        w, active, alpha, bounded = hard_margin(z)
        V, gamma = w / np.linalg.norm(w), 1 / np.linalg.norm(w)
        for horizon in (1e3, 1e6):
            path = late(data, 1, seed, horizon, **told)
            # Where the run has landed, which is the horizon to some 1e-13 of it.
            log_t, end = float(path.dataset.log_t[-1]), np.asarray(path.last.weights()["W1"])[0]
            q = log_t + float(path.dataset.log_loss[-1])
            assert np.abs(z[active] @ (end - log_t * w) + np.log(alpha)).max() < 1e-8
            assert abs(np.expm1(q + 2 * np.log(gamma))) < 1e-8
            # Control: multipliers or a margin that are off by 1e-7 are noticed.
            assert np.abs(z[active] @ (end - log_t * w) + np.log(alpha) + 1e-7).max() > 1e-8
            assert abs(np.expm1(q + 2 * np.log(gamma * (1 + 1e-7)))) > 1e-8
        R = np.linalg.norm(end)
        assert R * (gamma - (z @ end).min() / R) == pytest.approx(np.log(alpha).max() + gamma * (V @ bounded), rel=1e-4)
        if active.sum() == 3:
            spans += 1
            assert across(end, V) == pytest.approx(across(bounded, V), rel=1e-8)
        else:
            # Off the span of the support w~ remembers the start and the other samples, so that C* is not fixed by the
            # duals.
            assert across(end, V) > across(bounded, V) * (1 + 1e-3)
    assert spans >= 4


def log_slope(weights, z):
    """|∇L|²/L² and log L of a deep linear net under the exponential loss; the loss is scaled away before it is
    differentiated.
    """

    def margins(W):
        out = jnp.asarray(z).T
        for k in sorted(W):
            out = W[k] @ out
        return out[0]

    q = margins(weights)
    p = jnp.exp(q.min() - q)
    pull = jax.grad(lambda W: p @ margins(W) / p.sum())(weights)
    return float(sum((v**2).sum() for v in pull.values())), float(jnp.log(p.sum()) - q.min())


@pytest.mark.long
@pytest.mark.parametrize("K", [1, 2, THIRD, FOURTH])
def test_sharp_constant_of_the_gradient(K):
    """P11: |∇L|²/(L² Λ^{2-2/K}), Λ = log 1/L, tends to r = K² g^{2/K} with g = γ K^{-K/2}; so that L t (log t)^{2-2/K}
    tends to 1/r.
    """
    for seed in (71, 72, 73):
        data = separable(8, 3, seed)
        z = signed(data)
        gamma = 1 / np.linalg.norm(hard_margin(z)[0])
        r, power = K**2 * (gamma * K ** (-K / 2)) ** (2 / K), 2 - 2 / K
        square, log_loss = log_slope(late(data, K, seed, 1e6).last.weights(), z)
        assert square / (-log_loss) ** power == pytest.approx(r, rel=1e-2)
        assert 1e6 + log_loss + power * np.log(1e6) == pytest.approx(-np.log(r), abs=1e-2)
        # Control: the constant of another depth, or of margins 3 % larger, is noticed.
        assert square / (-log_loss) ** power != pytest.approx(
            (K + 1) ** 2 * (gamma * (K + 1) ** (-(K + 1) / 2)) ** (2 / (K + 1)), rel=1e-2
        )
        assert 1e6 + log_loss + power * np.log(1e6) != pytest.approx(-np.log(r * 1.03 ** (2 / K)), abs=1e-2 / K)


@pytest.mark.parametrize("K", [2, THIRD, FOURTH])
def test_growth_of_a_balanced_chain(K):
    """P10: equal layers of rank one with margin 1 on each of N samples: R - log Nt - (2 - 2/K) log log Nt tends to log
    K, and ρ_k/(log t)^{1/K} to 1.
    """
    y = np.where(np.arange(8) % 2 == 0, 1.0, -1.0)
    data = fl.Data(np.outer(y, [1.0, 0.0, 0.0]), y)
    first = np.eye(3)[:1].T @ np.eye(3)[:1]
    weights = {f"W{k}": 0.9 * (first if k < K else first[:1]) for k in range(1, K + 1)}
    path = late(data, K, 0, 1e6, fl.State.from_weights(weights))
    log_t, R = 1e6 + np.log(8.0), float(np.exp(path.dataset.log_R.values[-1]))
    assert R - log_t - (2 - 2 / K) * np.log(log_t) == pytest.approx(np.log(K), rel=1e-2)
    # Control: with the exponent of another depth the difference is off.
    assert abs(R - log_t - (2 - 2 / (K + 1)) * np.log(log_t) - np.log(K)) > 0.5
    assert all(float(rho) / 1e6 ** (1 / K) == pytest.approx(1.0, rel=1e-2) for rho in path.last.rho.values())


def at_fixed_norm(z, R, V):
    """The direction of least exponential loss at norm R, by Newton steps on the sphere."""
    for _ in range(200):
        q = R * z @ V
        p = np.exp(q.min() - q)
        p /= p.sum()
        mean = z.T @ p
        tangent = np.eye(len(V)) - np.outer(V, V)
        hessian = R * ((z.T * p) @ z - np.outer(mean, mean)) + (mean @ V) * np.eye(len(V))
        step = np.linalg.solve(tangent @ hessian @ tangent + np.outer(V, V), tangent @ mean)
        step *= min(1.0, 1.0 / max(R * np.abs(z @ step).max(), 1e-300))
        V = (V + step) / np.linalg.norm(V + step)
        if np.linalg.norm(step) < 1e-15:
            break
    return V


@pytest.mark.parametrize("seed", range(71, 78))
def test_vanishing_regularisation(seed):
    """P13: the best direction V_R at norm R is within log(N)/R of the largest margin; R (γ - margin) and R|V_R - V*|
    converge, to what the duals say.

    The approach is like 1/R with a factor that the smallest multiplier sets: at R = 320 the second constant is still
    off by a tenth and more on some of these samples. Where the support does not span, it is that of w~ on the span, not
    the C* of the flow.
    """
    z = signed(separable(8, 3, seed))
    w, _, alpha, bounded = hard_margin(z)
    V, gamma = w / np.linalg.norm(w), 1 / np.linalg.norm(w)
    gap, distance = np.log(alpha).max() + gamma * (V @ bounded), across(bounded, V)
    direction, seen = V, []
    for R in [5.0 * 2**i for i in range(19)]:
        direction = at_fixed_norm(z, R, direction)
        low = float((z @ direction).min())
        assert gamma - np.log(8) / R <= low <= gamma + 1e-14
        assert not gamma - 0.01 * gap / R <= low  # Control: one hundredth of the gap would be too little.
        seen.append((R * (gamma - low) / gap - 1, R * np.linalg.norm(direction - V) / distance - 1))
    assert max(map(abs, seen[-1])) < 1e-2
    # Twice the norm, half of what is missing.
    assert seen[-2][1] / seen[-1][1] == pytest.approx(2.0, abs=0.1)


@pytest.mark.slow
def test_the_flow_at_fixed_norm_ends_where_newton_does():
    for seed in range(71, 78):
        data = separable(8, 3, seed)
        start = fl.State(rho={"W1": jnp.asarray(40.0)}, V=fl.initial_state(DEEP[1], data, seed=seed).V)
        field = lowered(DEEP[1], scheme="fixed_norm", coordinates="polar")
        path = fl.integrate(field, start, data, until=fl.log_time(60.0), solver="kvaerno5", clock="time")
        z = signed(data)
        w = hard_margin(z)[0]
        assert path.outcome.ok
        assert np.asarray(path.last.V["W1"])[0] == pytest.approx(
            at_fixed_norm(z, 40.0, w / np.linalg.norm(w)), abs=1e-12
        )


def falls(z, states):
    """The largest fall of log(1/L)/R between states of a two-layer linear net, from where the loss is below one; and
    how many states that are.
    """
    kept = []
    for state in states:
        W = {k: np.asarray(v) for k, v in state.weights().items()}
        q = (W["W2"] @ W["W1"] @ z.T)[0]
        level = q.min() - np.log(np.exp(q.min() - q).sum())
        if level > 0 or kept:
            kept.append(level / (np.linalg.norm(W["W1"]) * np.linalg.norm(W["W2"])))
    return float(-np.diff(kept).min()), len(kept)


@pytest.mark.parametrize(
    "scheme",
    [
        "gradient_flow",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("lagrange", "exponential_weight_normalization")),
    ],
)
def test_the_smoothed_margin_never_falls(scheme):
    """P14: log(1/L)/R does not fall once L < 1, over stored states and, by the monitor inside the loop, over every
    accepted step.
    """
    for seed in (81, 82, 83):
        data = separable(8, 3, seed)
        path = late(
            data, 2, seed, 100.0, **({} if scheme == "gradient_flow" else {"scheme": scheme, "coordinates": "polar"})
        )
        worst, count = falls(signed(data), [path.state(i) for i in range(len(path))])
        assert count > 50
        assert worst <= 1e-12
        assert path.monitors["smoothed_margin"]["worst"] <= 1e-12


def test_the_smoothed_margin_falls_off_the_flow():
    """Control of P14: norms that grow faster than their directions settle. Steps of descent that are too long do that
    (Lyu and Li 2020).
    """
    seen = []
    for seed in (81, 82, 83):
        data = separable(8, 3, seed)
        path = late(data, 2, seed, 100.0)
        states = [path.state(i) for i in range(0, len(path), 10)]
        lowest = path.dataset.log_loss.values[: len(path) : 10] < -1.0
        start = states[int(np.argmax(lowest))]
        walk = fl.descend(fl.Problem(DEEP[2]), start, data, step=2.0, count=30)
        seen.append(falls(signed(data), [walk.state(i) for i in range(len(walk))])[0])
    assert max(seen) > 1e-6

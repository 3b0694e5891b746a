"""How the covariance of a deep linear generator moves under the Bures-Wasserstein loss, and how fast it ends."""

from collections.abc import Callable
from functools import cache

import numpy as np

import flowlab as fl
from derivations.notebook import Derivation

SPECTRUM, TAU, DEPTHS = np.array([5.0, 3.0, 1.5, 0.7]), 0.3, (1, 2, 3, 5)
OMEGA = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
TARGET = 0.5 * ((OMEGA * SPECTRUM) @ OMEGA.T + ((OMEGA * SPECTRUM) @ OMEGA.T).T)
W0 = np.random.default_rng(1).normal(size=(4, 4))


def derivation() -> Derivation:
    """The end-to-end flow of balanced layers, the metric that it descends in, and its late rate."""
    d = Derivation(
        "Covariances of deep linear nets",
        """P. Brechet, K. Papagiannouli, J. An, G. Montufar, ICML 2023; S. Arora, N. Cohen, E. Hazan, ICML 2018, for the
        flow of a balanced product; claims B1 to B13 of flowlab.""",
    )
    d.say(
        r"""A generator $z \mapsto P z$ of Gaussian noise, $P = W_N \cdots W_1$, has the covariance $\Sigma = P P^\top$.
        The loss is its squared Bures-Wasserstein distance from a target $\Sigma_0$, smoothed by $\tau$:
        $L(\Sigma) = \operatorname{tr}(\Sigma + \tau) + \operatorname{tr}\Sigma_0 - 2 \operatorname{tr}
        (R (\Sigma + \tau) R)^{1/2}$ with $R = \Sigma_0^{1/2}$."""
    )
    d.section("From layers to the covariance")
    d.equation(
        "gradient",
        r"\nabla L(\Sigma) = I - T, \qquad T = R\,\bigl(R (\Sigma + \tau) R\bigr)^{-1/2} R",
        r"""The derivative of $\operatorname{tr} M^{1/2}$ along $dM$ is $\tfrac12 \operatorname{tr}(M^{-1/2} dM)$, by
        the equation $X M^{1/2} + M^{1/2} X = dM$ of a root. $T$ is the optimal map that takes $\Sigma + \tau$ to
        $\Sigma_0$.""",
        check=lambda: max(_layers(depth) for depth in DEPTHS),
        bound=1e-11,
        how=r"the derived equations of 1, 2, 3 and 5 layers against $-W_{N:j+1}^\top\, 2 (I - T) P\, W_{j-1:1}^\top$",
    )
    d.equation(
        "balance",
        r"\frac{d}{dt} \bigl(W_{j+1}^\top W_{j+1} - W_j W_j^\top\bigr) = 0, \qquad j = 1, \dots, N - 1",
        r"""Both terms have the rate $-(W_{N:j+1}^\top G P^\top_{j:1}) - (\cdot)^\top$. The first layer belongs to a
        pair as well, though nothing stands behind it.""",
        check=lambda: max(_imbalance(depth) for depth in DEPTHS[1:]),
        bound=1e-12,
        how="the rate of all pairs at a random state, relative to its terms",
    )
    _closed(d)
    d.section("Which metric that is")
    d.equation(
        "metric",
        r"N = 1: \qquad \dot\Sigma = -2 \bigl[(I - T) \Sigma + \Sigma (I - T)\bigr]",
        r"""This is gradient flow in the metric of Bures and Wasserstein, whose inverse takes a force $F$ to
        $2 (F \Sigma + \Sigma F)$. More layers have another metric, not another loss.""",
        check=_bures,
        bound=1e-12,
        how=r"[closed] at $N = 1$ against the flow of $\Sigma$ in that metric, in the chart $\Sigma = z z^\top$",
    )
    d.equation(
        "geodesic",
        r"N = 1, \tau = 0: \qquad L(t) = L(0)\, e^{-4 t}",
        r"""Gradient flow of half a squared distance moves along the geodesic; of the whole squared distance it does so
        at twice the speed, and the distance falls like $e^{-2t}$.""",
        check=_geodesic,
        bound=1e-10,
        how=r"a run of the derived flow to $t = 1$ at a tolerance of 1e-12",
    )
    d.section("The spectrum")
    _spectrum(d)
    d.equation(
        "rate",
        r"L - L_{\min} \sim e^{-r t}, \qquad r = \frac{4 N (\lambda_{\min} - \tau)^{2 - 1/N}}{\lambda_{\min}}",
        r"""Linearise [spectrum] at $s = \lambda - \tau$: its slope is $-2 N (\lambda - \tau)^{2 - 1/N}/\lambda$. The
        loss is quadratic there and falls twice as fast; the smallest eigenvalue is the slowest.""",
        check=_rate,
        bound=1e-3,
        how="the slope of the logarithm of the loss of three layers between 1e-7 and 1e-10, relative",
    )
    return d


@cache
def _problem(depth: int, tau: float = TAU) -> tuple[fl.Problem, fl.Expr]:
    P = fl.weight("W1")
    for i in range(2, depth + 1):
        P = fl.weight(f"W{i}") @ P
    return fl.Problem(fl.bures(P @ P.T + tau * fl.eye if tau else P @ P.T, fl.constant("S0")), "value"), P


@cache
def _flows(depth: int, tau: float = TAU) -> tuple[fl.FlowEquations, fl.FlowEquations]:
    """The flow of the layers and that of the covariance."""
    problem, P = _problem(depth, tau)
    return fl.derive(problem), fl.end_to_end(problem, P @ P.T)


def _weights(depth: int, balanced: bool) -> dict[str, np.ndarray]:
    if balanced:
        state = fl.balanced_state(_problem(depth)[0], product=W0, seed=2)
        return {w: np.asarray(v) for w, v in state.weights().items()}
    rng = np.random.default_rng(depth)
    return {f"W{i + 1}": rng.normal(size=(4, 4)) / np.sqrt(2.0) for i in range(depth)}


def _rates(flow: fl.FlowEquations, W: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    given = {("weight", w): v for w, v in W.items()} | {("x", "S0"): TARGET, ("y", ""): 0.0}
    return {block: rate for (_, block), rate in flow.program.evaluate(np, given).items()}


def _whole(W: dict[str, np.ndarray]) -> np.ndarray:
    made = np.eye(4)
    for i in range(len(W)):
        made = W[f"W{i + 1}"] @ made
    return made


def _away(sigma: np.ndarray, tau: float = TAU) -> np.ndarray:
    """I - T."""

    def power(a: np.ndarray, p: float) -> np.ndarray:
        values, U = np.linalg.eigh(a)
        return (U * values**p) @ U.T

    R = power(TARGET, 0.5)
    return np.eye(4) - R @ power(R @ (sigma + tau * np.eye(4)) @ R, -0.5) @ R


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def _layers(depth: int) -> float:
    W = _weights(depth, balanced=False)
    P = _whole(W)
    G, made, worst = 2 * _away(P @ P.T) @ P, _rates(_flows(depth)[0], W), 0.0
    for j in range(1, depth + 1):
        left, right = np.eye(4), np.eye(4)
        for i in range(1, depth + 1):
            left, right = (W[f"W{i}"] @ left, right) if i > j else (left, W[f"W{i}"] @ right if i < j else right)
        worst = max(worst, _gap(made[f"W{j}"], -left.T @ G @ right.T))
    return worst


def _imbalance(depth: int) -> float:
    W = _weights(depth, balanced=False)
    V, worst = _rates(_flows(depth)[0], W), 0.0
    for i in range(1, depth):
        a, b = f"W{i}", f"W{i + 1}"
        inner, outer = V[a] @ W[a].T, V[b].T @ W[b]
        rest = outer + outer.T - inner - inner.T
        worst = max(worst, float(np.linalg.norm(rest) / np.linalg.norm(outer)))
    return worst


def _closed(d: Derivation, power: float = 1.0) -> None:
    def size() -> float:
        worst = 0.0
        for depth in DEPTHS:
            W = _weights(depth, balanced=True)
            V, P = _rates(_flows(depth)[0], W), _whole(W)
            dP = sum((_whole(W | {w: V[w]}) for w in W), np.zeros((4, 4)))
            values, U = np.linalg.eigh(P @ P.T)
            total = np.zeros((4, 4))
            for j in range(1, depth + 1):
                left, right = values ** ((depth - j) / depth), values ** (1 + power * (j - 1) / depth)
                total += (U * left) @ U.T @ _away(P @ P.T) @ (U * right) @ U.T
            worst = max(worst, _gap(-2 * (total + total.T), dP @ P.T + P @ dP.T))
        return worst

    d.equation(
        "closed",
        r"""\dot\Sigma = -2 \sum_{j=1}^N \Bigl[\Sigma^{\frac{N-j}{N}} (I - T)\, \Sigma^{1 + \frac{j-1}{N}} +
        (\cdot)^\top\Bigr]""",
        r"""From balanced layers $W_{N:j+1} W_{N:j+1}^\top = \Sigma^{(N-j)/N}$, and [balance] keeps it so. Insert
        [gradient] into $\dot P P^\top + P \dot P^\top$: the weights drop out and $\Sigma$ moves by itself.""",
        check=size,
        bound=1e-11,
        how="the chain rule through the derived equations of 1, 2, 3 and 5 layers, at a balanced state",
    )


def _bures() -> float:
    sigma = W0 @ W0.T
    network = fl.Network(_flows(1)[1].problem.network.text, constants=["S0"], symmetric=["Sigma"])
    flow = fl.derive(fl.Problem(network, "value", geometry={"Sigma": "bures_wasserstein"}))
    z = np.linalg.cholesky(sigma)
    given = {("chart", "Sigma"): z, ("x", "S0"): TARGET, ("y", ""): 0.0}
    dz = next(iter(flow.program.evaluate(np, given).values()))
    return _gap(_rates(_flows(1)[1], {"Sigma": sigma})["Sigma"], dz @ z.T + z @ dz.T)


def _geodesic() -> float:
    flow, _ = _flows(1, 0.0)
    start = fl.State.from_weights({"W1": W0})
    path = fl.integrate(fl.lower(flow), start, fl.Data(S0=TARGET), until=fl.time(1.0), rtol=1e-12, atol=1e-14)
    t, L = np.exp(path.dataset["log_t"].values), path.dataset["objective"].values
    return float(np.abs(L / L[0] * np.exp(4 * t) - 1).max())


def _spectrum(d: Derivation, extra: float = 0.0) -> None:
    s = np.array([2.0, 0.4, 1.1, 0.9])

    def size() -> float:
        worst = 0.0
        for depth in DEPTHS:
            made = _rates(_flows(depth)[1], {"Sigma": (OMEGA * s) @ OMEGA.T})["Sigma"]
            told = -4 * depth * s ** (2 - 1 / depth + extra) * (1 - np.sqrt(SPECTRUM / (s + TAU)))
            worst = max(worst, _gap(OMEGA.T @ made @ OMEGA, np.diag(told)))
        return worst

    d.equation(
        "spectrum",
        r"\dot s_i = -4 N s_i^{2 - 1/N} \Bigl(1 - \sqrt{\frac{\lambda_i}{s_i + \tau}}\Bigr)",
        r"""Where $\Sigma$ and $\Sigma_0$ have common eigenvectors, $T$ has them too, with the eigenvalues
        $\sqrt{\lambda_i/(s_i + \tau)}$; every term of [closed] is then $s_i^{2 - 1/N}$ times $1 - T_i$.""",
        check=size,
        bound=1e-11,
        how="the derived flow of the covariance at one that commutes with the target, with 1, 2, 3 and 5 layers",
    )


def _rate() -> float:
    flow = _flows(3)[1]
    rate = 12 * (SPECTRUM[-1] - TAU) ** (5 / 3) / SPECTRUM[-1]
    sigma = (OMEGA * ((SPECTRUM - TAU) * np.array([1.01, 0.99, 1.01, 0.8]))) @ OMEGA.T
    start = fl.State.from_weights({"Sigma": 0.5 * (sigma + sigma.T)})
    until = fl.time(25.0 / float(rate))
    path = fl.integrate(fl.lower(flow), start, fl.Data(S0=TARGET), until=until, rtol=1e-11, atol=1e-13)
    t, L = np.exp(path.dataset["log_t"].values), path.dataset["objective"].values
    some = (L > 1e-10) & (L < 1e-7)
    return float(abs(-np.polyfit(t[some], np.log(L[some]), 1)[0] / rate - 1))


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""

    def fresh() -> Derivation:
        return Derivation("control", "none")

    return {
        "no power of the layers below": lambda: _closed(fresh(), power=0.0),
        "one power more in the spectrum": lambda: _spectrum(fresh(), extra=1.0),
    }

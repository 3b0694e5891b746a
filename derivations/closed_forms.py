"""Norms and directions in closed form: a constant margin for any depth, and one sample for any loss."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import sympy as sp
from scipy.special import expi

from derivations.notebook import Derivation, control
from derivations.paths import drift, walk
from derivations.points import NETS, SOME, THREE, Point, everywhere, gap, points
from derivations.variables import parametrised

F, K, U, R, T = sp.symbols("f K u R t", positive=True)
SINGLE, LINEAR = "W1 @ x", NETS[0][0]


def derivation() -> Derivation:
    """Equation (1.13): closed forms of the norm and of the angle."""
    d = Derivation(
        "Closed forms",
        """Equation (1.13) and claims P9, P10 of flowlab; the rates are those of T. Poggio, A. Banburski, Q. Liao, PNAS
        2020, and of K. Lyu, J. Li, ICLR 2020.""",
    )
    d.say(
        r"""$R = \prod_k \rho_k^{\kappa_k}$ is the product of the norms, $\bar f_n$ are the margins at the directions,
        $\psi_n = -\ell'(R\bar f_n)$ and $s = \sum_n \psi_n \bar f_n$."""
    )
    _one_equation(d)
    _constant(d)
    _one_sample(d)
    return d


def _balanced(p: Point) -> Point:
    """The same directions with norms of equal squares over degrees."""
    return replace(p, rho=p.each(lambda k: np.asarray(np.sqrt(1.7 * p.kappa[k]))))


def _one_equation(d: Derivation) -> None:
    d.section("Balanced norms: one equation")
    d.define(
        "balanced",
        r"\rho_k^2 = \kappa_k m, \qquad D = \sum_k \kappa_k, \qquad c = \prod_k \kappa_k^{\kappa_k/2}, \qquad R = c\,"
        r" m^{D/2}",
        r"""The differences $\rho_k^2/\kappa_k - \rho_j^2/\kappa_j$ are conserved by gradient flow and Lagrange flow,
        [equal_growth:differences]. Where they are zero one number $m$ gives all norms:""",
    )
    _product(d)
    d.say(
        r"With $D$ blocks of degree one, $c = 1$ and $u = \rho_k$, this is $\dot u = u^{D-1} s$. The total degree is"
        r" what counts as depth."
    )


def _product(d: Derivation, degrees: bool = True) -> None:
    def size(p: Point) -> float:
        q = _balanced(p)
        total = sum(q.kappa.values()) if degrees else float(len(q.kappa))
        c = float(np.prod([k ** (k / 2) for k in q.kappa.values()])) if degrees else 1.0
        wanted = total * c ** (2 / total) * q.R ** (2 - 2 / total) * q.s
        worst = 0.0
        for scheme in ("gradient_flow", "lagrange"):
            rate, _ = parametrised(q, scheme)
            worst = max(worst, gap(wanted, q.R * sum(q.kappa[k] * rate[k] / q.rho[k] for k in q.rho)))
        return worst

    d.equation(
        "product",
        r"\dot R = D\, c^{2/D} R^{2 - 2/D} s",
        r"By [polar_flow:rho] $\dot R = R \sum_k \kappa_k \dot\rho_k/\rho_k = R^2 s \sum_k \kappa_k^2/\rho_k^2 = R^2"
        r" s\, D/m$, and $m = (R/c)^{2/D}$.",
        check=everywhere(size, SOME),
        bound=1e-11,
        how=f"rates of the norms by autodiff in the variables of two flows, at {THREE} with balanced norms",
    )


def _constant(d: Derivation) -> None:
    d.section("A constant margin")
    d.say(
        r"""Let all directions rest, as they do for one sample once they have found it, and let the loss be exponential
        with one margin $f > 0$: then $s = f e^{-fR}$. Several samples with equal margins multiply the loss by their
        number, and time is divided by it."""
    )
    _single_block(d)
    _two_blocks(d)

    def any_depth() -> float:
        D, c = sp.symbols("D c", positive=True)
        # The integrand of the incomplete gamma function at f R, against the rate of R.
        left = R ** (2 / D - 2) * sp.exp(F * R) / (D * c ** (2 / D) * F)
        return float(sp.simplify(left * D * c ** (2 / D) * R ** (2 - 2 / D) * F * sp.exp(-F * R) - 1) != 0)

    d.equation(
        "any-depth",
        r"t = \frac{1}{D\, c^{2/D} f} \int_{R_0}^{R} r^{2/D - 2} e^{f r}\, dr",
        """For any total degree [product] separates. The integral is an incomplete gamma function; for $D = 1$ and
        $D = 2$ it gives [one-block] and [two-blocks].""",
        check=any_depth,
        bound=0.0,
        how="the integrand times the rate of $R$, symbolically",
    )
    _measured(d)


def _single_block(d: Derivation, factor: float = 1.0) -> None:
    start = sp.symbols("rho_0", positive=True)

    def size() -> float:
        rho = sp.log(sp.exp(F * start) + sp.nsimplify(factor) * F**2 * T) / F
        gaps = (sp.diff(rho, T) - F * sp.exp(-F * rho), rho.subs(T, 0) - start)
        # Zero if they simplify to zero, otherwise what they are somewhere.
        return max(abs(float(sp.simplify(g).subs({F: 0.7, start: 0.4, T: 3.1}))) for g in gaps)

    d.equation(
        "one-block",
        r"\rho(t) = \frac1f \log\bigl(e^{f\rho_0} + f^2 t\bigr), \qquad L(t) = \frac{1}{e^{f\rho_0} + f^2 t} \qquad (D"
        r" = 1)",
        r"$\dot\rho = f e^{-f\rho}$ is $\frac{d}{dt} e^{f\rho} = f^2$. So $L t \to 1/f^2$, and $\rho = (\log t + 2\log"
        r" f)/f + o(1)$.",
        check=size,
        bound=0.0,
        how="the differential equation and the start, symbolically",
    )


def _two_blocks(d: Derivation, factor: int = 2) -> None:
    def size() -> float:
        # With u' = f u e^{-f u²}, D = 2: the rate of Ei(f u²) by the chain rule.
        rate = sp.diff(sp.Ei(F * U**2), U) * F * U * sp.exp(-F * U**2)
        return float(sp.Abs(sp.simplify(rate / F - factor)))

    d.equation(
        "two-blocks",
        r"\mathrm{Ei}(f R) - \mathrm{Ei}(f R_0) = 2 f t \qquad (D = 2,\ \kappa_1 = \kappa_2 = 1)",
        r"$\dot R = 2 R f e^{-fR}$, and $e^{fR}/R$ is the derivative of the exponential integral $\mathrm{Ei}(fR)$.",
        check=size,
        bound=0.0,
        how="the derivative of the left-hand side in time, symbolically",
    )


def _sample(net: str, loss: str, seed: int = 0) -> Point:
    """One sample, and linear blocks of equal norms whose directions carry it along one ray: a resting point."""
    (p,) = points(net, loss, count=1, n=1)
    x = np.array([[0.6, -0.3, 0.5]]) * (1 + 0.2 * seed)
    unit = np.ravel(x) / np.linalg.norm(x)
    rng, names = np.random.default_rng(seed), list(p.V)
    frames = [unit] + [rng.normal(size=p.V[k].shape[0]) for k in names[:-1]] + [np.ones(1)]
    frames = [a / np.linalg.norm(a) for a in frames]
    V = {k: np.outer(frames[i + 1], frames[i]) if np.ndim(p.V[k]) == 2 else unit for i, k in enumerate(names)}
    return replace(p, x=x, y=np.ones(1), V=V, rho=p.each(lambda _: np.asarray(1.1 + 0.1 * seed)))


def _measured(d: Derivation) -> None:
    def one() -> float:
        worst = 0.0
        for seed in (0, 1):
            p = _sample(SINGLE, "exponential", seed)
            rho, _ = walk(p, "gradient_flow", span=4.0)
            t = 4.0 / 1000 * np.arange(1000)
            f = float(p.fb[0])
            worst = max(worst, gap(np.log(np.exp(f * p.rho["W1"]) + f**2 * t) / f, rho["W1"]))
        return worst

    def two() -> float:
        p = _sample("W2 @ W1 @ x", "exponential")
        rho, _ = walk(p, "lagrange", span=4.0)
        f, t, product = float(p.fb[0]), 4.0 / 1000 * np.arange(1000), rho["W1"] * rho["W2"]
        return float(np.max(np.abs(expi(f * product) - expi(f * product[0]) - 2 * f * t)))

    d.equation(
        "measured",
        r"\rho_{\text{flow}}(t) = \rho(t)",
        "The flows that `flowlab.derive` finds, from a state in which every block is a frame that hands the sample on,"
        " so that directions rest.",
        check=lambda: max(one(), two()),
        bound=1e-9,
        how="""Runge-Kutta paths over time 4: one block under gradient flow, two samples in turn, against [one-block],
        and two under Lagrange flow against [two-blocks]""",
    )


def _one_sample(d: Derivation) -> None:
    d.section("One sample, one block")
    d.define(
        "angle",
        r"\bar f = \lVert x\rVert \cos\vartheta, \qquad \vartheta = \angle(V, y x), \qquad P_V\, x = x - V\langle V,"
        r" x\rangle",
        "With a single sample the direction moves in the plane of its start and of the sample, and its angle says all."
        " For any loss,",
    )
    d.equation(
        "turn",
        r"""\dot\vartheta = -\rho\, \psi\, \lVert x\rVert \sin\vartheta, \qquad \dot\rho = \psi\, \lVert x\rVert
        \cos\vartheta \qquad \text{(Lagrange, weight normalisation)}""",
        r"""From [schemes:lagrange], $\frac{d}{dt}\cos\vartheta = \rho\psi \lVert P_V x\rVert^2/\lVert x\rVert$ with
        $\lVert P_V x\rVert = \lVert x\rVert\sin\vartheta$. Gradient flow has $\rho^{-1}$ in place of $\rho$.""",
        check=everywhere_single,
        bound=1e-11,
        how="rates of $V$ and of the norm by autodiff, three random states with one sample and either loss",
    )
    _law(d)


def everywhere_single() -> float:
    """The rate of the angle under Lagrange flow against its formula."""
    worst = 0.0
    for loss in ("exponential", "logistic"):
        for p in points(SINGLE, loss, n=1):
            rho_rate, V_rate = parametrised(p, "lagrange")
            x, rho, psi = p.y[0] * np.ravel(p.x), float(p.rho["W1"]), float(p.psi[0])
            length, v = float(np.linalg.norm(x)), np.ravel(p.V["W1"])
            cosine = float(v @ x) / length
            sine = float(np.linalg.norm(x / length - cosine * v))
            turn = -float(np.ravel(V_rate["W1"]) @ x) / (length * sine)
            worst = max(worst, gap(-rho * psi * length * sine, turn), gap(psi * length * cosine, float(rho_rate["W1"])))
    return worst


def _law(d: Derivation, swapped: bool = False) -> None:
    factors: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "lagrange": lambda rho: np.exp((rho**2 - rho[0] ** 2) / 2),
        "gradient_flow": lambda rho: rho,
        "exponential_weight_normalization": lambda rho: rho,
    }
    if swapped:
        factors = {"lagrange": lambda rho: rho}

    def size() -> float:
        worst = 0.0
        for loss in ("exponential", "logistic"):
            for scheme, factor in factors.items():
                (p,) = points(SINGLE, loss, count=1, n=1)
                rho, V = walk(p, scheme, span=3.0)
                unit = np.ravel(p.x) / np.linalg.norm(p.x)
                v = V["W1"].reshape(len(rho["W1"]), -1)
                sine = np.linalg.norm(v - np.outer(v @ unit, unit), axis=1)
                worst = max(worst, drift(sine * factor(rho["W1"])))
        return worst

    d.equation(
        "law",
        r"""\begin{gathered}
        \sin\vartheta\; e^{\rho^2/2} = \text{const} \quad \text{(Lagrange, weight normalisation)}, \\
        \rho \sin\vartheta = \text{const} \quad \text{(gradient flow, exponential)}
        \end{gathered}""",
        r"""Divide the rates [turn]: $d\log\sin\vartheta/d\rho = -\rho$, or $-1/\rho$. Time, loss and the length of the
        sample have dropped out. It is the law of the part off the span of the data, [balance:off-span], for data that
        span a line. With $\rho = (\log t)/\lVert x\rVert + O(1)$ the angle falls faster than any power of $t$ under
        weight normalisation and like $1/\log t$ under gradient flow; with two or more samples of unequal weight this
        difference is gone.""",
        check=size,
        bound=1e-9,
        how="drift relative to the start along Runge-Kutta paths of three derived flows with two losses",
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""
    return {
        "blocks counted instead of degrees": lambda: _product(control(), degrees=False),
        "the growth of the loss 1% too fast": lambda: _single_block(control(), factor=1.01),
        "the exponential integral at half its speed": lambda: _two_blocks(control(), factor=1),
        "the law of gradient flow under weight normalisation": lambda: _law(control("turn"), swapped=True),
    }

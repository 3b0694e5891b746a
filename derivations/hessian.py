"""The second derivative of the loss on the spheres: what the constraint adds to it, and where it vanishes."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from derivations.critical_points import LINEAR, SINGLE, SQUARED
from derivations.notebook import Derivation, control
from derivations.points import Arrays, Point, gap, points
from derivations.resting import Curved, at_norms, curved, flat, rest, settle

NETS = (SINGLE, LINEAR, SQUARED)
THREE = (
    "three random states of a linear network with one and with three blocks and of a squared ReLU of degrees 2 and 1"
)
RELU = ("W2 @ relu(W1 @ x)", "exponential")


def derivation() -> Derivation:
    """Equation (1.11), claims P16 and P17: Riemannian Hessian and zero modes."""
    d = Derivation(
        "The Hessian on the spheres",
        """T. Poggio, A. Banburski, Q. Liao, PNAS 2020 (degeneracy of minima, degrees one); claims P16, P17, equation
        (1.11) of flowlab, for any degrees.""",
    )
    d.say(
        r"""At fixed norms the loss is a function $F(V) = L(\rho V)$ of directions on a product of spheres. $P_k$ is the
        projector on the tangent space of the sphere of block $k$ and $P$ that on all of them; $\bar f_n$ is extended to
        vectors of any length by the network itself, so that it is homogeneous of degree $\kappa_k$ in $V_k$."""
    )
    _intrinsic(d)
    _formula(d)
    _single(d)
    _zero_modes(d)
    return d


@cache
def random_points(net: str, loss: str) -> tuple[Curved, ...]:
    """Random states with second derivatives."""
    return tuple(curved(p) for p in points(net, loss))


def _everywhere(size: Callable[[Curved], float]) -> Callable[[], float]:
    return lambda: float(np.max([size(p) for net in NETS for p in random_points(*net)]))


def _slope(p: Point) -> np.ndarray:
    """∂F/∂V by reverse autodiff."""
    return flat(p.each(lambda k: -p.rho[k] * p.g[k]))


def _radial(p: Point) -> dict[str, float]:
    return p.each(lambda k: float(np.sum(-p.rho[k] * p.g[k] * p.V[k])))


def _intrinsic(d: Derivation) -> None:
    h = 2e-3

    def along(p: Curved, xi: np.ndarray) -> float:
        """The second derivative of the loss along great circles through V with velocity ξ, by central differences."""
        parts, at = _blocks(p, xi), []
        for t in (-2 * h, -h, 0.0, h, 2 * h):
            speed = {k: float(np.linalg.norm(a)) for k, a in parts.items()}
            turned = {k: np.cos(speed[k] * t) * p.V[k] + np.sin(speed[k] * t) / speed[k] * parts[k] for k in p.V}
            q = p.margins({k: p.rho[k] * v for k, v in turned.items()})
            at.append(float(np.sum(np.exp(-q))))
        return float(np.dot([-1, 16, -30, 16, -1], at)) / (12 * h**2)

    def circles() -> float:
        worst = 0.0
        for net in NETS:
            for seed, p in enumerate(random_points(*net)[:2]):
                xi = p.tangent @ np.random.default_rng(seed).normal(size=p.tangent.shape[1])
                xi = xi / np.linalg.norm(xi)
                told = xi @ p.second["free"] @ xi - sum(
                    _radial(p)[k] * float(np.sum(a**2)) for k, a in _blocks(p, xi).items()
                )
                # Relative to the larger of the two parts, which may cancel.
                worst = max(worst, abs(along(p, xi) - told) / abs(xi @ p.second["free"] @ xi))
        return worst

    d.section("What a sphere adds")
    d.define(
        "circle",
        r"""V_k(t) = \cos(t\lVert \xi_k\rVert)\, V_k + \frac{\sin(t\lVert\xi_k\rVert)}{\lVert\xi_k\rVert}\, \xi_k,
        \qquad \ddot V_k(0) = -\lVert\xi_k\rVert^2\, V_k""",
        r"The geodesics of the product are great circles with velocities $\xi_k \perp V_k$:",
    )
    d.equation(
        "intrinsic",
        r"""\mathrm{Hess} F[\xi, \xi] = \frac{d^2}{dt^2} F(V(t))\Big|_0
        = D^2 F[\xi, \xi] - \sum_k \Bigl\langle V_k, \frac{\partial F}{\partial V_k}\Bigr\rangle \lVert\xi_k\rVert^2""",
        "Differentiate twice along [circle]. The acceleration of the curve points inwards and picks up the radial slope"
        " of the loss, block by block.",
        check=circles,
        bound=1e-6,
        how=(
            "the right-hand side by autodiff against central differences of the loss along great circles, at two of"
            f" {THREE}"
        ),
    )
    d.equation(
        "radial",
        r"-\Bigl\langle V_k, \frac{\partial F}{\partial V_k}\Bigr\rangle = \kappa_k R s",
        "The same number as twice the multiplier [schemes:multiplier]: the force that holds the direction on its sphere"
        " also bends it.",
        check=_everywhere(lambda p: gap(p.each(lambda k: p.kappa[k] * p.R * p.s), p.each(lambda k: -_radial(p)[k]))),
        bound=1e-11,
        how=f"reverse autodiff of the loss, at {THREE}",
    )


def _blocks(p: Point, vector: np.ndarray) -> Arrays:
    names = sorted(p.V)
    parts = np.split(vector, np.cumsum([p.V[k].size for k in names])[:-1])
    return {k: part.reshape(np.shape(p.V[k])) for k, part in zip(names, parts, strict=True)}


def _plain(p: Curved, curvature: float = 1.0) -> np.ndarray:
    """The second derivative without the constraint, from derivatives of margins; ψ' = -ψ for the exponential loss."""
    first = np.stack([flat({k: s[n] for k, s in p.autodiff["slopes_V"].items()}) for n in range(len(p.y))])
    return p.R**2 * first.T @ (p.psi[:, None] * first) - curvature * p.R * np.tensordot(p.psi, p.second["outputs"], 1)


def _formula(d: Derivation) -> None:
    def homogeneous(p: Curved) -> float:
        worst, first = 0.0, {k: s[0] for k, s in p.autodiff["slopes_V"].items()}
        for k in p.V:
            at = flat(p.each(lambda j, k=k: p.V[j] if j == k else 0 * p.V[j]))
            wanted = flat(p.each(lambda j, k=k: (p.kappa[k] - (j == k)) * first[j]))
            worst = max(
                worst, float(np.linalg.norm(p.second["outputs"][0] @ at - wanted)) / (1 + float(np.linalg.norm(wanted)))
            )
        return worst

    d.section("The formula")
    d.equation(
        "plain",
        r"""D^2 F = R^2 \sum_n \ell''_n\, \frac{\partial \bar f_n}{\partial V}
        \frac{\partial \bar f_n}{\partial V}^{\!\top} - R \sum_n \psi_n\, \frac{\partial^2 \bar f_n}{\partial V^2}""",
        r"The chain rule for $\ell(R \bar f_n)$, with $\ell''_n = \ell''(R\bar f_n)$.",
        check=_everywhere(lambda p: gap(_plain(p), p.second["free"])),
        bound=1e-11,
        how=(
            "derivatives of every margin against the second derivative of the loss, both by forward over reverse"
            f" autodiff, at {THREE}"
        ),
    )
    d.equation(
        "euler-two",
        r"\frac{\partial^2 \bar f_n}{\partial V_j\, \partial V_k}[\,\cdot\,, V_k] = (\kappa_k - \delta_{jk})\,"
        r" \frac{\partial \bar f_n}{\partial V_j}",
        r"""Differentiate Euler's identity [polar_flow:euler] once more. The second derivative along a radius is thus a
        multiple of the first, so that the projectors remove nothing that is not known already; with degree one and a
        single block it is zero.""",
        check=_everywhere(homogeneous),
        bound=1e-11,
        how=f"second derivatives of one margin along every block, at {THREE}",
    )
    _hessian(d)
    d.say(
        r"""The last term is all that the constraint does, and for $s > 0$ it is positive. A block of degree $\kappa_k$
        is bent $\kappa_k$ times as much. The formula holds at every state, at rest or not; the loss enters through
        $\psi$ and $\ell''$ alone."""
    )


def _hessian(d: Derivation, with_degrees: bool = True, curvature: float = 1.0, bend: float = 1.0) -> None:
    def size(p: Curved) -> float:
        extra = p.by_block(p.each(lambda k: bend * p.R * p.s * (p.kappa[k] if with_degrees else 1.0)))
        return gap(p.tangent.T @ (_plain(p, curvature) + np.diag(extra)) @ p.tangent, p.hessian)

    d.equation(
        "hessian",
        r"""H = P \Bigl( R^2 \sum_n \ell''_n\, \frac{\partial \bar f_n}{\partial V}
        \frac{\partial \bar f_n}{\partial V}^{\!\top} - R \sum_n \psi_n\, \frac{\partial^2 \bar f_n}{\partial V^2}
        \Bigr) P + R s \sum_k \kappa_k P_k""",
        "Insert [radial] and [plain] into [intrinsic].",
        check=_everywhere(size),
        bound=1e-11,
        how=(
            r"against the second derivative of $L(\rho v/\lVert v\rVert)$ in $v$ by autodiff, on the tangent space, at"
            rf" {THREE}"
        ),
    )


def _single(d: Derivation, share: float = 1.0) -> None:
    def rises(p: Curved) -> float:
        return float(np.linalg.eigvalsh(p.hessian)[0]) / (share * p.R * p.s)

    def size() -> float:
        worst = 0.0
        for seed in range(3):
            for R in (5.0, 20.0):
                p = rest(*SINGLE, R, seed)
                # The same data without their third coordinate: one direction that no sample sees, and equality.
                seen = p.x * np.array([1.0, 1.0, 0.0])
                unseen = settle(
                    replace(at_norms(p, R), x=seen, y=np.where(seen @ np.array([1.0, 0.3, 0.0]) > 0, 1.0, -1.0)), R
                )
                worst = max(worst, 1 - rises(p), abs(rises(unseen) - 1))
        return worst

    if share == 1.0:
        d.section("One linear block")
    d.equation(
        "single",
        r"H = R s\, P + R^2 \sum_n \ell''_n\, P x_n x_n^\top P \;\ge\; R s\, P \;>\; 0 \qquad (K = 1,\ s > 0)",
        r"""A linear margin has no second derivative, and $\ell'' \ge 0$. Every resting direction with $s > 0$ is a
        strict minimum, which a Newton step finds and whose eigenvalues stay above $R s$; a direction that no sample
        sees has exactly this one.""",
        check=size,
        bound=1e-9,
        how=(
            "the least eigenvalue over $R s$ at resting directions of three data sets, and for equality at those of"
            " data in a plane, $R = 5$ and $20$"
        ),
    )


def _rotation(p: Point, layer: int, i: int, j: int) -> np.ndarray:
    """The velocity of turning hidden units i and j of a layer into one another, in both blocks that meet there."""
    names = list(p.V)
    turn = np.zeros((p.V[names[layer]].shape[0],) * 2)
    turn[i, j], turn[j, i] = -1.0, 1.0
    parts = {k: np.zeros_like(v) for k, v in p.V.items()}
    parts[names[layer]] = turn @ p.V[names[layer]]
    parts[names[layer + 1]] = -p.V[names[layer + 1]] @ turn
    return flat(parts)


def _orbit(p: Point) -> np.ndarray:
    """Velocities of all hidden rotations of a linear network, one row each."""
    widths = [v.shape[0] for v in list(p.V.values())[:-1]]
    return np.stack([_rotation(p, layer, i, j) for layer, h in enumerate(widths) for j in range(h) for i in range(j)])


def _zero_modes(d: Derivation) -> None:
    def invariant() -> float:
        worst = 0.0
        for p in random_points(*LINEAR):
            Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(p.V["W1"].shape[0],) * 2))
            worst = max(worst, gap(p.margins(p.V | {"W1": Q @ p.V["W1"], "W2": p.V["W2"] @ Q.T}), p.fb))
        return worst

    d.section("Zero modes")
    d.equation(
        "invariance",
        r"F(g_t V) = F(V), \qquad g_t : \; (V_k, V_{k+1}) \mapsto (e^{tA} V_k,\, V_{k+1} e^{-tA}), \quad A = -A^\top",
        "Between two blocks of a linear network every rotation of the hidden units leaves the outputs as they are, and"
        " it keeps both norms.",
        check=invariant,
        bound=1e-12,
        how="outputs with a random orthogonal matrix between the first two of three blocks, at three random states",
    )
    _kernel(d)
    d.equation(
        "count",
        r"\dim \ker H = \mathrm{rank}\,\{A V_k, -V_{k+1} A\} = \sum_{k < K} (h_k - 1) \qquad \text{(linear, one output,"
        r" } h_k \text{ hidden units)}",
        r"""By [critical_points:rank-one] the orbit of a resting point are the frames $a_2, \dots, a_K$, unit vectors of
        $h_1, \dots, h_{K-1}$ dimensions. So $H$ has at least that many zero modes by [kernel]; that it has no more, and
        is positive across them, is what is found. Minima of a deep linear network form manifolds, and none of them is
        isolated or hyperbolic.""",
        check=_count,
        bound=0.0,
        how=r"""numbers of eigenvalues below $10^{-7}$ of the largest, of negative ones, and rank of the rotations, at
        resting points of three blocks with four and four hidden units, three data sets, $R = 5$ and $20$""",
    )
    d.section("Behind a ReLU")
    _split(d)


def _kernel(d: Derivation, anywhere: bool = False) -> None:
    def size() -> float:
        states = (
            random_points(*LINEAR) if anywhere else [rest(*LINEAR, R, seed) for R in (5.0, 20.0) for seed in range(3)]
        )
        worst = 0.0
        for p in states:
            H = p.tangent @ p.hessian @ p.tangent.T
            worst = max(
                worst,
                *(float(np.linalg.norm(H @ xi) / (np.linalg.norm(H, 2) * np.linalg.norm(xi))) for xi in _orbit(p)),
            )
        return worst

    d.equation(
        "kernel",
        r"\mathrm{grad} F(V) = 0 \;\Longrightarrow\; H \xi = 0, \qquad \xi = \frac{d}{dt} g_t V \Big|_0 = (A V_k,"
        r" -V_{k+1} A)",
        r"""The $g_t$ are isometries of the spheres, so $\mathrm{grad} F(g_t V) = g_t\, \mathrm{grad} F(V)$. At a
        resting point both sides vanish for all $t$; differentiate the left one. Away from rest the right one turns with
        $t$, and $\xi$ is no zero mode.""",
        check=size,
        bound=1e-9,
        how=(
            "all rotations between three blocks, relative to the norm of $H$, at resting points of three data sets, $R"
            " = 5$ and $20$"
        ),
    )


def _count() -> float:
    wrong = 0
    for R in (5.0, 20.0):
        for seed in range(3):
            p = rest(*LINEAR, R, seed)
            values, wanted = np.linalg.eigvalsh(p.hessian), sum(v.shape[0] - 1 for v in list(p.V.values())[:-1])
            small = np.abs(values) < 1e-7 * values[-1]
            wrong += (
                int(small.sum()) != wanted
                or bool(np.any(values[~small] < 0))
                or np.linalg.matrix_rank(_orbit(p), 1e-7) != wanted
            )
    return float(wrong)


@cache
def relu_rest(seed: int, positive: int = 3) -> Curved:
    """A resting point of a ReLU network with five units on two clusters of opposite labels,
    each seen by the units of one sign alone.
    """
    rng = np.random.default_rng(seed)
    y = np.array([1.0] * 5 + [-1.0] * 4)
    # Both clusters lie about an axis, at right angles to one another up to noise and tilted apart.
    axes = np.where(y[:, None] > 0, np.array([[1.0, -0.6, 0.0]]), np.array([[-0.6, 1.0, 0.0]]))
    x = axes + 0.25 * rng.normal(size=(9, 3))
    signs = np.array([1.0] * positive + [-1.0] * (5 - positive))
    W1 = np.where(signs[:, None] > 0, np.array([[1.0, -0.6, 0.0]]), np.array([[-0.6, 1.0, 0.0]])) + 0.1 * rng.normal(
        size=(5, 3)
    )
    W2 = (signs * rng.uniform(0.7, 1.3, size=5))[None]
    p = replace(points(*RELU)[0], V={"W1": W1 / np.linalg.norm(W1), "W2": W2 / np.linalg.norm(W2)}, x=x, y=y)
    return settle(p, 12.0, seed)


def _split(d: Derivation, distinct: int = 2) -> None:
    def lines() -> float:
        worst = 0.0
        for seed in range(3):
            p = relu_rest(seed)
            z, hidden = p.V["W1"], np.ravel(p.V["W2"])
            on = (p.x @ z.T > 0) * 1.0
            pull = np.einsum("n,ni,nj->ij", p.psi * p.y, on, p.x)
            worst = max(worst, gap(hidden[:, None] * pull / p.s, z))
        return worst

    def modes() -> float:
        wrong = 0
        for seed in range(3):
            p = relu_rest(seed)
            values = np.linalg.eigvalsh(p.hessian)
            small = np.abs(values) < 1e-7 * values[-1]
            wrong = max(wrong, abs(int(small.sum()) - (5 - distinct)), int(np.any(values[~small] < 0)))
        return float(wrong)

    d.equation(
        "lines",
        r"s\, w_i = c_i \sum_{n \in A_i} \psi_n y_n x_n, \qquad A_i = \{n : \langle w_i, x_n\rangle > 0\}",
        r"""For a network $\sum_i c_i \max(\langle w_i, x\rangle, 0)$ at rest, off the kinks, [critical_points:rest]
        says that units of one sign that are active on the same samples have the same direction.""",
        check=lines,
        bound=1e-8,
        how=(
            "the rows of the first block at a resting point of five units on two clusters of opposite labels, three"
            " data sets"
        ),
    )
    d.equation(
        "split",
        r"\dim \ker H = \#\{\text{active units}\} - \#\{\text{directions}\}",
        r"""Among $m$ units that share a direction $u$, with $w_i = p_i u$, the outputs depend on $\sum_i c_i p_i$
        alone. Rotating $(p_i)$ and $(c_i)$ together keeps it and both norms; as $|c_i| = p_i$ by
        [critical_points:balance], the orbit is a sphere of dimension $m - 1$, and [kernel] applies while all $p_i > 0$.
        That there are no other zero modes, and no negative eigenvalues, is what is found.""",
        check=modes,
        bound=0.0,
        how="""numbers of eigenvalues below $10^{-7}$ of the largest and of negative ones, at the resting points of
        [lines], five units in two directions, $R = 12$""",
    )


def controls() -> dict[str, Callable[[], None]]:
    """Wrong steps by name; each must raise."""
    return {
        "degrees left out of the bend": lambda: _hessian(control("radial", "plain", "intrinsic"), with_degrees=False),
        "the bend of the wrong sign": lambda: _hessian(control("radial", "plain", "intrinsic"), bend=-1.0),
        "a network without curvature": lambda: _hessian(control("radial", "plain", "intrinsic"), curvature=0.0),
        "twice the gap of a single block": lambda: _single(control(), share=2.0),
        "zero modes away from rest": lambda: _kernel(control(), anywhere=True),
        "one direction for all units": lambda: _split(control("kernel"), distinct=1),
    }

"""Descent to a minimum on a product of spheres: trust-region Newton, L-BFGS and gradient descent."""

import numpy as np
from scipy.linalg import eigh

from flowlab.core.errors import UnknownName
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.descent.compiled_descent import lbfgs, truncated

METHODS = ("auto", "trust", "lbfgs", "descent")
TOLERANCE = 1e-12
DENSE = 400
"""The most weights for which second derivatives are formed and factored."""

_SMALLEST, _GAIN = 1e-13, 0.99
_REACH = 0.3
"""Within this distance of a known root its pole is felt."""


def minimize(
    con: Constrained, theta: np.ndarray, *, method: str = "auto", tolerance: float = TOLERANCE, steps: int = 500
) -> tuple[np.ndarray, int]:
    """Go down from θ until `con.residual` is below the tolerance, or nothing more is gained.

    Args:
        con: the constrained problem.
        theta: where to begin, (P,).
        method: `"trust"` (trust-region Newton), `"lbfgs"`, `"descent"` (steepest descent with line search), or
            `"auto"`: trust regions up to 400 weights; beyond, L-BFGS and then trust regions from where it comes to
            rest.
        tolerance: of the residual (dimensionless).
        steps: the most steps; twenty times as many for the two methods without second derivatives.

    Returns:
        The end and how many steps were taken; whether the end is critical is the residual's to say.
    """
    if method not in METHODS:
        raise UnknownName(f"`method={method!r}` is not known; use one of {', '.join(METHODS)}.")
    if method == "auto" and len(theta) > DENSE:
        theta, taken = lbfgs(con, theta, tolerance, 20 * steps)
        end, more = _trust(con, theta, tolerance, steps)
        return end, taken + more
    if method == "lbfgs":
        return lbfgs(con, theta, tolerance, 20 * steps)
    if method == "descent":
        return _descent(con, theta, tolerance, 20 * steps)
    return _trust(con, theta, tolerance, steps)


def _trust(con: Constrained, theta: np.ndarray, tolerance: float, steps: int) -> tuple[np.ndarray, int]:
    radius, widest = 0.5, float(np.sqrt(con.spheres.count))
    f, step = con.value(theta), 0
    for step in range(1, steps + 1):
        if con.residual(theta) <= tolerance:
            return theta, step - 1
        move, gain = (exact if len(theta) <= DENSE else truncated)(con, theta, radius)
        trial = con.spheres.project(theta + move)
        f_new = con.value(trial)
        noise = 1e-14 * max(1.0, abs(f))
        # Below round-off of the objective the model knows better than a difference of two values.
        share = 1.0 if max(abs(f - f_new), gain) <= 10 * noise else (f - f_new) / gain
        if np.isfinite(f_new) and share > 0.1:
            if gain <= 10 * noise and con.residual(trial) >= 0.5 * con.residual(theta):
                return (_settle(con, theta, tolerance) if len(theta) <= DENSE else theta), step
            theta, f = trial, f_new
        length = float(np.linalg.norm(move))
        radius = (
            0.25 * length
            if not share > 0.25
            else min(widest, 2.0 * radius)
            if share > 0.75 and length > 0.9 * radius
            else radius
        )
        if radius < _SMALLEST:
            break
    return theta, step


def _settle(con: Constrained, theta: np.ndarray, tolerance: float) -> np.ndarray:
    """Newton's steps on the gradient where the objective no longer tells better from worse; none along directions that
    are nearly flat.

    Where the loss has come down to a constant, that of samples which no unit sees, all of it is flat, and steps gain a
    millionth each: they end.
    """
    before = con.residual(theta)
    while before > tolerance:
        basis = con.spheres.basis(theta)
        values, vectors = eigh(con.riemannian(theta, basis))
        s = basis @ (vectors @ _damped(values, vectors.T @ (basis.T @ con.gradient(theta)), 1.0))
        trial = con.spheres.project(theta + s)
        after = con.residual(trial)
        if not after < before:
            break
        gained, theta, before = after < _GAIN * before, trial, after
        if not gained:
            break
    return theta


def _damped(values: np.ndarray, c: np.ndarray, damping: float) -> np.ndarray:
    """Levenberg's step on the gradient c in the eigenvectors of the Hessian; the damping vanishes with c."""
    return -c * values / (values**2 + damping * np.linalg.norm(c) * np.abs(values).max() + 1e-300)


def root(
    con: Constrained, theta: np.ndarray, known: list[np.ndarray], *, tolerance: float = 1e-9, steps: int = 100
) -> np.ndarray | None:
    """A zero of the tangent gradient near θ, of any index, other than those known; None where the search comes to rest
    elsewhere.

    Levenberg steps on the Riemannian Hessian, lengthened or turned back by deflation: the equations are multiplied by
    Π (1 + σ²/‖θ - θ_i‖²), which has no zero at the known θ_i (Farrell, Birkisson and Funke 2015).
    """

    def parts(t: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        basis = con.spheres.basis(t)
        return con.residual(t), basis, basis.T @ con.gradient(t)

    def poles(t: np.ndarray) -> float:
        return float(np.prod([1.0 + _REACH**2 / max(float((t - k) @ (t - k)), 1e-30) for k in known]))

    r, basis, g = parts(theta)
    damping = 1e-2
    for _ in range(steps):
        if r <= tolerance:
            return theta
        values, vectors = eigh(con.riemannian(theta, basis))
        c = vectors.T @ g
        while True:
            s = basis @ (vectors @ _damped(values, c, damping))
            # Newton's step on the deflated equations is Newton's step, times a number (Sherman and Morrison).
            slope = sum(
                -2.0 * _REACH**2 / (d @ d) ** 2 * (d @ s) / (1.0 + _REACH**2 / (d @ d))
                for d in (theta - k for k in known)
            )
            s = s / (1.0 + slope) if abs(1.0 + slope) > 0.1 else 10.0 * s
            s = s * min(1.0, 0.5 / float(np.linalg.norm(s)))
            trial = con.spheres.project(theta + s)
            new, b_new, g_new = parts(trial)
            if np.linalg.norm(g_new) * poles(trial) < np.linalg.norm(g) * poles(theta):
                damping *= 0.2
                break
            damping *= 4.0
            if damping > 1e8:
                return None
        theta, r, basis, g = trial, new, b_new, g_new
    return None


def exact(con: Constrained, theta: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """The minimum of the quadratic model in a ball, by its eigenvectors; and what the model gains."""
    basis = con.spheres.basis(theta)
    g = basis.T @ con.gradient(theta)
    values, vectors = eigh(con.riemannian(theta, basis))
    c = vectors.T @ g
    # A search does not go along directions in which nothing changes.
    flat = (np.abs(values) <= 1e-11 * np.abs(values).max()) & (np.abs(c) <= 1e-9 * np.linalg.norm(c))

    def at(shift: float) -> np.ndarray:
        # A step along a direction of no curvature is infinite, and longer than any radius.
        with np.errstate(divide="ignore"):
            return np.where(flat, 0.0, -c / np.where(flat, 1.0, values + shift))

    low = max(0.0, -float(values[~flat].min(initial=0.0)))
    if low > 0 or np.linalg.norm(at(0.0)) > radius:
        # The norm falls with the shift from infinity at the pole: bisection on a logarithmic scale.
        top = np.linalg.norm(c) / radius + np.abs(values).max()
        a, b = low + 1e-14 * top, low + top
        for _ in range(80):
            middle = low + np.sqrt((a - low) * (b - low))
            a, b = (middle, b) if np.linalg.norm(at(middle)) > radius else (a, middle)
        s = at(b)
        if low > 0 and np.linalg.norm(s) < 0.9 * radius:
            # The hard case: nothing pulls along the lowest direction, and the model still falls along it.
            s[0] += np.copysign(np.sqrt(radius**2 - s @ s), s[0])
    else:
        s = at(0.0)
    return basis @ (vectors @ s), float(-(c @ s + 0.5 * (values * s) @ s))


def _descent(con: Constrained, theta: np.ndarray, tolerance: float, steps: int) -> tuple[np.ndarray, int]:
    """Steepest descent; each line search begins with the length that the last step and change of gradient suggest
    (Barzilai and Borwein 1988).
    """
    tangent, step, first = con.spheres.tangent, 0, None
    f, full = con.value(theta), con.gradient(theta)
    g = tangent(theta, full)
    while step < steps and float(np.linalg.norm(g)) / con.measure(full) > tolerance:
        step += 1
        found = _line(con, theta, f, g, -g, first or 0.1 / float(np.linalg.norm(g)))
        if found is None:
            break
        moved, f, full, length = found
        g_new = tangent(moved, full)
        y = g_new - tangent(moved, g)
        bend = -float(y @ tangent(moved, g))
        first = length * float(g @ g) / bend if bend > 0 else 2.0 * length
        theta, g = moved, g_new
    return theta, step


def _line(
    con: Constrained, theta: np.ndarray, f: float, g: np.ndarray, d: np.ndarray, length: float
) -> tuple[np.ndarray, float, np.ndarray, float] | None:
    """A shorter and shorter step along d until the objective falls; in its round-off, until the slope does (Hager and
    Zhang 2005).
    """
    slope, noise = float(g @ d), 1e-13 * max(1.0, abs(f))
    length = min(length, 1.0 / float(np.linalg.norm(d)))
    while length * float(np.linalg.norm(d)) > 1e-16:
        trial = con.spheres.project(theta + length * d)
        f_new = con.value(trial)
        if f_new <= f + 1e-4 * length * slope or abs(f_new - f) <= noise:
            full = con.gradient(trial)
            if f_new <= f + 1e-4 * length * slope - noise or abs(con.spheres.tangent(trial, full) @ d) < abs(slope):
                return trial, f_new, full, length
        length *= 0.5
    return None

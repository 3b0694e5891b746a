"""The curl of the coarse gradient in closed form, and the work of a field around a circle."""

import numpy as np

from flowlab.claims.library.yin2019.flows import angle, target
from flowlab.claims.library.yin2019.population import draws, model, teacher
from flowlab.language.state import State

M, N, COUNT = 4, 6, 10
ROOT = np.sqrt(2 * np.pi)
RADIUS, POINTS = 0.5, 400
"""A circle in the plane of a direction of v and one of w; the integrand is smooth along it, so that few points do."""


def closed(slope: str, v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray, share: float = 1.0) -> np.ndarray:
    """df_v/dw - (dg/dv)^T of one pair (v, w), (m, n)."""
    length = np.linalg.norm(w)
    u, theta = w / length, float(angle(w[None], ws)[0])
    across = ws - (u @ ws) * u
    first = -np.outer(vs, across) / (2 * np.pi * length * np.sin(theta))
    if slope == "identity":
        return first - share * (2 * np.outer(v, u) - np.outer(vs, ws)) / ROOT
    inner = 2 * v + 2 * v.sum() - vs.sum() + vs
    return first - share * (np.outer(inner, u) - np.outer(vs, u + ws)) / (2 * ROOT)


def curls_and_work(seed: int) -> dict[str, dict]:
    """Curls at random weights, and the work around a circle against the curl inside it."""
    vs, ws = target(seed, M, N, 0.7)
    v, w = draws(seed + 6, COUNT, M, N)
    data = teacher(vs, ws)
    rng = np.random.default_rng(seed + 7)
    along, across = rng.normal(size=M), rng.normal(size=N)
    along, across = along / np.linalg.norm(along), across / np.linalg.norm(across)
    # Far from w = 0 and from the kinks at parallel vectors, which have a measure of zero but spoil quadrature.
    centre = v[0], 2.0 * w[0] / np.linalg.norm(w[0])
    out = {}
    for slope in ("relu", "identity"):
        own = model(slope, M, N)
        curl = own.flow.curl()
        states = [State.from_weights({"v": a, "w": b}) for a, b in zip(v, w, strict=True)]
        t = 2 * np.pi * np.arange(POINTS) / POINTS
        a = centre[0] + RADIUS * np.cos(t)[:, None] * along
        b = centre[1] + RADIUS * np.sin(t)[:, None] * across

        def work(parts: tuple[np.ndarray, np.ndarray], t: np.ndarray = t) -> float:
            speed = RADIUS * (np.cos(t) * (parts[1] @ across) - np.sin(t) * (parts[0] @ along))
            return float(speed.mean() * 2 * np.pi)

        nodes, weights = np.polynomial.legendre.leggauss(16)
        inside = 0.0
        for r, of_r in zip((nodes + 1) / 2 * RADIUS, weights / 2 * RADIUS, strict=True):
            for s in 2 * np.pi * np.arange(32) / 32:
                at = centre[0] + r * np.cos(s) * along, centre[1] + r * np.sin(s) * across
                inside -= of_r * r * 2 * np.pi / 32 * float(along @ closed(slope, *at, vs, ws) @ across)
        out[slope] = {
            "at": [(a_, b_, vs, ws) for a_, b_ in zip(v, w, strict=True)],
            "curl": [curl.at(state, data)["v", "w"] for state in states],
            "pairs": float(len(curl.pairs)),
            "share": curl.share(states[0], data),
            "work": work(own.gradient(a, b, vs, ws)),
            "true": work(own.true(a, b, vs, ws)),
            "inside": inside,
        }
    return out

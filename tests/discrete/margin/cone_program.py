"""An independent judge of KKT points of f = Σ_j a_j σ(w_j·x) with σ(h) = max(h, leak·h): gradients by hand, and one
quadratic program over a cone.
"""

from typing import Any

import clarabel as _clarabel
import numpy as np
from scipy.sparse import csc_matrix

clarabel: Any = _clarabel  # a compiled module without type stubs


def bounded_residual(W, a, x, y, leak, kink=1e-8):
    """ε of Lyu and Li: multipliers λ ≥ 0, and for every unit on a kink u = λ s with leak·λ ≤ u ≤ λ; (ε, λ)."""
    W, a, x, y = (np.asarray(v, dtype=float) for v in (W, np.ravel(a), x, y))
    h = x @ W.T
    q = y * (np.where(h > 0, h, leak * h) @ a)
    scale = q.min() ** -0.5
    W, a, h, q = scale * W, scale * a, scale * h, q / q.min()
    N, H = h.shape
    bent = [(n, j) for n in range(N) for j in range(H) if abs(h[n, j]) <= kink * np.abs(h).max()]
    slope = np.where(h > 0, 1.0, leak)
    for n, j in bent:
        slope[n, j] = 0.0
    columns = []
    for n in range(N):
        outer = y[n] * (a * slope[n])[:, None] * x[n]
        columns.append(np.r_[outer.ravel(), y[n] * np.where(h[n] > 0, h[n], leak * h[n])])
    for n, j in bent:
        part = np.zeros((H, x.shape[1]))
        part[j] = y[n] * a[j] * x[n]
        columns.append(np.r_[part.ravel(), np.zeros(H)])
    theta = np.r_[W.ravel(), a]
    size = np.linalg.norm(theta)
    A = np.vstack([np.array(columns).T, np.r_[(q - 1.0) / size, np.zeros(len(bent))]]) / size
    b = np.r_[theta, 0.0] / size
    rows = [-np.eye(N, N + len(bent))]
    for k, (n, _) in enumerate(bent):
        low, high = np.zeros(N + len(bent)), np.zeros(N + len(bent))
        low[n], low[N + k] = leak, -1.0
        high[n], high[N + k] = -1.0, 1.0
        rows.append(np.array([low, high]))
    G = np.vstack(rows)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    cone = [clarabel.NonnegativeConeT(len(G))]
    found = clarabel.DefaultSolver(
        csc_matrix(np.triu(A.T @ A)), -A.T @ b, csc_matrix(G), np.zeros(len(G)), cone, settings
    ).solve()
    z = np.asarray(found.x)
    return float(np.linalg.norm((A @ z - b)[:-1])), z[:N]


def counter_example(leak, slope, offset, angle):
    """Two units and three samples where all samples bind and only the slope given, of the second unit at the second
    sample, makes a KKT point.

    With p, q, r the products of multiplier and sample: p + q + r = e is the first unit's direction, which is active on
    all, and p + slope q + leak r = (0, 1) the second's, which is active on the first, at rest on the second and beyond
    its kink on the third.
    """
    e, up, q = np.array([np.cos(angle), np.sin(angle)]), np.array([0.0, 1.0]), np.array([offset, 0.0])
    r = (e - up - (1.0 - slope) * q) / (1.0 - leak)
    p = up - slope * q - leak * r
    z = np.array([p, q, r])
    h = z @ np.array([e, up]).T
    if not (h[:, 0].min() > 0.05 and h[0, 1] > 0.05 and h[2, 1] < -0.05):
        raise ValueError("units are not on the sides that the case is made for")
    multipliers = np.where(h > 0, h, leak * h).sum(axis=1)
    if multipliers.min() <= 0:
        raise ValueError("a multiplier is not positive")
    return np.array([e, up]), np.ones(2), z / multipliers[:, None], np.ones(3)

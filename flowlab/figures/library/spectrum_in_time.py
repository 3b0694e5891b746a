"""Eigenvalues of a covariance in time."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.figures.figure import Curve, Picture, figures
from flowlab.figures.style import formula
from flowlab.language.composed import square_of
from flowlab.language.expr import Expr
from flowlab.language.network import Network
from flowlab.language.traversal import fold

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory

_ROWS, _MOST = 200, 8
"""Rows of a path that are drawn at most, and eigenvalues of each covariance, the largest."""
_LEAST = 1e-12
"""Part of the largest eigenvalue below which one is drawn there: zero has no place on a logarithmic axis."""


def factor(network: Network) -> Expr | None:
    """P of the covariance P P^T that an objective is of, made of all weights; None where it has none."""
    made = (square_of(node) for node in network.nodes)
    found = [P for P in made if P is not None and {n.block for n in P.nodes()} >= set(network.weights)]
    return found[0] if found else None


@figures.register("spectrum_in_time")
class SpectrumInTime(Picture):
    """The eigenvalues of P P^T where the objective has one, of a covariance that is a block itself, and elsewhere of
    W W^T of every block.
    """

    title = "eigenvalues of the covariance, or of W W^T of every block, in time"
    y_label = "eigenvalue"
    log_y = True

    def curves(self, path: "Trajectory") -> list[Curve]:
        network = path.problem.network
        P = factor(network)
        rows = path.places(_ROWS)
        # The first row may be t = 0, which has no place on log t; exp(log t) would overflow beyond 709.
        rows = rows[np.isfinite(path.dataset["log_t"].values[rows])]
        log_t = path.dataset["log_t"].values[rows]
        found: dict[str, list[np.ndarray]] = {}
        for row in rows:
            W = path.weights(int(row))
            for name, values in _spectra(network, P, W).items():
                found.setdefault(name, []).append(values)
        curves = []
        for name, spectra in found.items():
            values = np.array(spectra)[:, :_MOST]
            values = np.maximum(values, _LEAST * values.max(initial=_LEAST))
            hue = network.weights.index(name) if name in network.weights else None
            told = formula(name) if hue is not None else ""
            curves += [Curve(name, log_t, values[:, i], told=told, hue=hue) for i in range(values.shape[1])]
        return curves


def _spectra(network: Network, P: Expr | None, W: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Eigenvalues by what they are of, the largest first."""
    if P is not None:
        values = fold(P, lambda node: W[str(node.leaf)], W.__getitem__, network.meaning(np))
        return {"covariance": np.linalg.svd(values[id(P)], compute_uv=False) ** 2}
    made = {}
    for name, value in W.items():
        square = name in network.symmetric
        rows = value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1)
        made[name] = np.linalg.eigvalsh(value)[::-1] if square else np.linalg.svd(rows, compute_uv=False) ** 2
    return made

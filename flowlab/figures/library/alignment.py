"""How layers become of rank one and align, as in deep linear networks."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.figures.figure import Curve, Panel, Picture, figures, started
from flowlab.figures.style import COLUMN, formula

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory


@figures.register("alignment")
class Alignment(Picture):
    """1 - σ₁²/‖V_k‖_F² of every matrix, and 1 - |⟨v_{k+1}, u_k⟩| of the top singular vectors of layers that follow each
    other (Z. Ji, M. Telgarsky 2019).
    """

    title = "distance of every layer from rank one, and of neighbouring layers from alignment"
    size = (COLUMN, 3.8)
    panels = (
        Panel(r"$1 - \sigma_1^2 / \Vert V_k \Vert_F^2$", log_y=True),
        Panel(r"$1 - |\langle v_{k+1}, u_k \rangle|$", log_y=True),
    )

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, keep = started(path)
        names = [name for name in path.problem.network.weights if path.dataset[f"V_{name}"].ndim in (2, 3)][:7]
        found = {}
        for name in names:
            V = path.dataset[f"V_{name}"].values[keep]
            # A vector is the row of a matrix.
            found[name] = np.linalg.svd(V if V.ndim == 3 else V[:, None, :], full_matrices=False)
        out = []
        for name, (_, sizes, _) in found.items():
            rest = (sizes[:, 1:] ** 2).sum(axis=1) / (sizes**2).sum(axis=1)
            if sizes.shape[1] > 1:
                place = path.problem.network.weights.index(name)
                out.append(Curve(name, log_t, np.maximum(rest, 1e-17), told=formula(name), hue=place))
        for lower, upper in pairwise(_chain(path, names)):
            u, v = found[lower][0][:, :, 0], found[upper][2][:, 0, :]
            apart = np.maximum(1.0 - np.abs((u * v).sum(axis=1)), 1e-17)
            told = f"{formula(upper)} after {formula(lower)}"
            out.append(Curve(f"{upper}, {lower}", log_t, apart, panel=1, told=told))
        if not any(curve.panel == 1 for curve in out):
            raise LanguageError(
                f"`{path.problem.network.text[:80]}` must have layers that follow each other; use for example W3 @ W2 @"
                " W1 @ x."
            )
        return out


def _chain(path: "Trajectory", names: list[str]) -> list[str]:
    """Layers from the input upwards, each with as many columns as the one below has rows."""
    shapes = {name: path.dataset[f"V_{name}"].shape[1:] for name in names}
    shapes = {name: shape if len(shape) == 2 else (1, *shape) for name, shape in shapes.items()}
    text = path.problem.network.text
    # Where sizes alone do not tell, the one written further right is applied first.
    order = sorted(names, key=lambda name: -text.rfind(name))
    chain = order[:1]
    for name in order[1:]:
        if shapes[name][1] == shapes[chain[-1]][0]:
            chain.append(name)
    return chain

"""Directions on their way to where they end, on the sphere seen from above that place."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.core.typing import Record
from flowlab.figures.figure import Curve, Panel, Picture, figures, legend, looks, started
from flowlab.figures.style import COLUMN, GUIDE, formula

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.trajectory import Trajectory

_RINGS = (15, 30, 60, 90, 120, 180)
"""Degrees from the end at which circles are drawn."""
_MOST = 7
_ROOM = 1.08
"""Of the farthest point: how far the page reaches."""


@figures.register("sphere")
class Sphere(Picture):
    """Every block's direction V_k in Lambert's equal-area projection centred at its last one: the distance from the
    middle is ‖V_k(t) - V_k(end)‖. Spheres of more than two dimensions are seen along the two principal axes of what is
    across the end.
    """

    title = "paths of the directions on their spheres, seen from above where they end"
    size = (COLUMN, 3.4)
    square = True

    def curves(self, path: "Trajectory") -> list[Curve]:
        log_t, keep = started(path)
        out = []
        for i, name in enumerate(path.problem.network.weights[:_MOST]):
            V = path.dataset[f"V_{name}"].values[keep]
            V = V.reshape(len(V), -1)
            if V.shape[1] > 1 and len(V) > 1:
                x, y = seen_from_end(V)
                out.append(Curve(name, x, y, told=formula(name), hue=i, time=log_t))
        if not out:
            raise LanguageError(
                'the figure "sphere" must have a block of two entries or more and a run of two rows or more, got none;'
                ' draw "loss" instead.'
            )
        return out

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        return (Panel("", ""),)

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        told = "; ".join(f"{c.told or c.label} begins at {_degrees(c):.0f} degrees" for c in curves)
        return [f"Dots are starts, the cross is the end of every direction; {told}"]

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        from matplotlib.patches import Circle

        (ax,) = axes
        # Far enough for what has been drawn here before, too.
        reach = _ROOM * max(0.1, *(float(np.hypot(c.x, c.y).max(initial=0.0)) for c in curves))
        reach = max(reach, ax.get_xlim()[1]) if ax.has_data() else reach
        for degrees in _RINGS:
            radius = 2.0 * np.sin(np.radians(degrees) / 2.0)
            if radius > reach:
                break
            ax.add_patch(Circle((0.0, 0.0), radius, facecolor="none", edgecolor="#CCCCCC", linewidth=0.5, zorder=0))
            side = radius * np.sqrt(0.5)
            ax.text(side, -side, rf"${degrees}^\circ$", color=GUIDE, fontsize=7, ha="left", va="top", zorder=1)
        for curve, look in zip(curves, looks(curves), strict=True):
            thin: Record = look | {"marker": ""}
            ax.plot(curve.x, curve.y, label=curve.told or curve.label, **thin)
            ax.plot(curve.x[:1], curve.y[:1], "o", color=look["color"], markersize=3.5)
        ax.plot([0.0], [0.0], "x", color="#000000", markersize=5, zorder=5, gid="guide")
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.set_axis_off()
        legend(canvas, axes)


def seen_from_end(V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors, (rows, D), in the azimuthal projection that keeps their distance from the last one."""
    end = V[-1] / np.linalg.norm(V[-1])
    across = V - np.outer(V @ end, end)
    _, _, axes = np.linalg.svd(across, full_matrices=False)
    # Signs of singular vectors are a matter of chance: the start lies to the right and above.
    parts = across @ axes[:2].T if len(axes) > 1 and V.shape[1] > 2 else np.c_[across @ axes[0], np.zeros(len(V))]
    parts *= np.where(parts[0] < 0, -1.0, 1.0)
    far, size = np.linalg.norm(V - end, axis=1), np.linalg.norm(parts, axis=1)
    scale = np.divide(far, size, out=np.zeros_like(far), where=size > 0)
    x, y = (parts * scale[:, None]).T
    return x, y


def _degrees(curve: Curve) -> float:
    """The angle between start and end."""
    return float(np.degrees(2.0 * np.arcsin(min(1.0, np.hypot(curve.x[0], curve.y[0]) / 2.0))))

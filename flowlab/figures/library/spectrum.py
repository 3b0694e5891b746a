"""Eigenvalues of the Riemannian Hessian at critical points, and which zero modes a symmetry explains."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.figures.figure import Curve, Picture, above, figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_CLASSES = {
    "positive": ("o", "#0072B2", "#0072B2"),
    "negative": ("v", "#D55E00", "#D55E00"),
    "zero, by symmetry": ("s", "#000000", "none"),
    "zero, unexplained": ("D", "#000000", "#CC79A7"),
}
_MOST = 24


@figures.register("spectrum")
class Spectrum(Picture):
    """A column of marks for every point, by growing loss, 24 at most; zero modes, below 1e-7 of the largest, stand side
    by side.
    """

    title = "eigenvalues at critical points, with the zero modes that symmetries explain"
    x_label = "critical point, by growing loss"
    y_label = "eigenvalue"
    of = "critical points"
    alone = True

    def curves(self, path: Any) -> list[Curve]:
        out = []
        for k, point in enumerate(list(path)[:_MOST]):
            values = np.asarray(point.eigenvalues)
            zero = np.zeros(len(values), dtype=bool)
            zero[np.argsort(np.abs(values), kind="stable")[: point.nullity]] = True
            # Which of the zero modes are along the orbit is a matter of basis; how many is not.
            at = np.flatnonzero(zero)
            parts = {
                "positive": values[~zero & (values > 0)],
                "negative": values[~zero & (values < 0)],
                "zero, by symmetry": values[at[: point.explained]],
                "zero, unexplained": values[at[point.explained :]],
            }
            for name, some in parts.items():
                if len(some):
                    # Zero modes lie in one place: side by side, so that they can be counted.
                    aside = (
                        0.09 * (np.arange(len(some)) - (len(some) - 1) / 2)
                        if name.startswith("zero")
                        else np.zeros(len(some))
                    )
                    out.append(Curve(f"{name} ({point.kind})", k + np.clip(aside, -0.4, 0.4), some, _CLASSES[name][0]))
        return out

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        (ax,) = axes
        entries, kinds = {}, {}
        for c in curves:
            name, _, kind = c.label.partition(" (")
            kinds[round(float(c.x.mean()))] = kind.rstrip(")")
            marker, edge, face = _CLASSES[name]
            look = {"markersize": 3.4, "markeredgecolor": edge, "markerfacecolor": face, "markeredgewidth": 0.7}
            (line,) = ax.plot(c.x, c.y, marker, **look)
            entries.setdefault(name, line)
        sizes = np.abs(np.concatenate([c.y for c in curves if not c.label.startswith("zero")] or [np.ones(1)]))
        threshold = 10.0 ** np.floor(np.log10(sizes.min()))
        ax.set_yscale("symlog", linthresh=threshold, linscale=0.7)
        top = np.ceil(np.log10(sizes.max()) - 1e-9)
        powers = np.arange(np.log10(threshold), top + 1)
        powers = powers[:: 1 + len(powers) // 5]
        both = any(c.label.startswith("negative") for c in curves)
        ticks = [*([-(10.0**p) for p in powers[::-1]] if both else []), 0.0, *(10.0**p for p in powers)]
        ax.set_yticks(
            ticks, ["$0$" if t == 0 else f"${'-' if t < 0 else ''}10^{{{round(np.log10(abs(t)))}}}$" for t in ticks]
        )
        ax.minorticks_off()
        ax.axhline(0.0, color="#999999", linewidth=0.6, zorder=0)
        ax.set_xticks(
            list(kinds),
            [f"{k} {kind}" for k, kind in kinds.items()],
            rotation=55,
            ha="right",
            rotation_mode="anchor",
        )
        ax.set_xlim(-0.6, max(kinds) + 0.6)
        ax.set_xlabel(self.x_label)
        ax.set_ylabel(self.y_label)
        above(
            canvas,
            [entries[n] for n in _CLASSES if n in entries],
            [n for n in _CLASSES if n in entries],
            handlelength=1.0,
        )

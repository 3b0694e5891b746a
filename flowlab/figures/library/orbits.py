"""Games: the divergence from the equilibrium over time, and orbits of three strategies in a triangle."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.figures.figure import Curve, Panel, Picture, above, figures, looks
from flowlab.figures.style import COLUMN, GUIDE, PAGE, formula

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowlab.language.result import Result

ROUNDINGS = 1e-16
"""What is left of a divergence by roundings is drawn here."""
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


class _OfOrbits(Picture):
    """A picture of orbits, or of flows and descents of games as they are."""

    of = "orbit"
    takes_runs = True
    told_apart = False

    def taken(self, given: Any) -> Any:
        from flowlab.studies.orbits import orbit

        return orbit(given) if getattr(given, "kind", None) in ("flow", "descent") else given

    def compared(self, paths: "Sequence[Result]") -> list[list[Curve]]:
        told = [_words(path) for path in paths]
        seen: Counter[str] = Counter()
        out = []
        for words, path in zip(told, paths, strict=True):
            seen[words] += 1
            label = f"{words} ({seen[words]})" if told.count(words) > 1 else words
            out.append(self.labelled(path, label))
        return out

    def curves(self, path: "Result") -> list[Curve]:
        return self.labelled(path, _words(path))

    @abstractmethod
    def labelled(self, path: "Result", label: str) -> list[Curve]:
        """The curves of one run under a label."""


def _words(path: "Result") -> str:
    """What a run is called: its rule with the step, or its kind."""
    told = path.provenance["settings"]
    return f"{told['rule']}, step {told['step']:g}" if "rule" in told else str(told["run"])


@figures.register("kl")
class Divergence(_OfOrbits):
    """KL(p*|p), summed over players."""

    title = "games: divergence from the equilibrium over time, of flows and descents"
    x_label, y_label, log_y = "$t$", "KL from the equilibrium", True

    def labelled(self, path: "Result", label: str) -> list[Curve]:
        total = path.dataset["divergence"].values
        # A strategy that has died out is infinitely far.
        keep = np.isfinite(total)
        return [Curve(label, path.dataset["time"].values[keep], np.maximum(total[keep], ROUNDINGS))]


@figures.register("simplex")
class Triangle(_OfOrbits):
    """The strategies of every player that has three, in a triangle whose corners are the pure ones."""

    title = "games: orbits of players with three strategies, in a triangle"
    columns = 2
    square = True
    clock_is_log = False

    def labelled(self, path: "Result", label: str) -> list[Curve]:
        players = [str(name)[9:] for name in path.dataset.data_vars if str(name).startswith("strategy_")]
        players = [w for w in players if path.dataset.sizes[f"{w}_i"] == len(_CORNERS)]
        if not players:
            raise LanguageError(
                'the figure "simplex" must have a player with three strategies, got none; draw "kl" instead.'
            )
        out = []
        for panel, w in enumerate(players):
            x, y = (path.dataset[f"strategy_{w}"].values @ _CORNERS).T
            at = path.dataset[f"rest_{w}"].values @ _CORNERS
            out.append(Curve(label, x, y, panel=panel, time=path.dataset["time"].values))
            out.append(Curve(f"equilibrium of {w}", at[:1], at[1:], marker="o", panel=panel, look="limit"))
        return out

    def seen(self, curves: Sequence[Curve]) -> list[str]:
        ends = [
            f"{c.label} {np.hypot(c.x[-1] - e.x[0], c.y[-1] - e.y[0]):.2g} (player {e.label.rpartition(' ')[2]})"
            for c in curves
            for e in curves
            if c.look != "limit" and e.look == "limit" and (c.path, c.panel) == (e.path, e.panel)
        ]
        return [
            "Dots are starts, plus signs equilibria; corners are pure strategies",
            f"Distance of the end from the equilibrium, in sides of the triangle: {'; '.join(ends)}",
        ]

    def frames(self, curves: Sequence[Curve]) -> tuple[Panel, ...]:
        return tuple(Panel("", "") for _ in {c.panel for c in curves})

    def page(self, curves: Sequence[Curve]) -> tuple[float, float]:
        return (COLUMN, 3.0) if len(self.frames(curves)) == 1 else (PAGE, 3.1)

    def paint(self, canvas: "Figure", axes: "Sequence[Axes]", curves: Sequence[Curve]) -> None:
        handles: dict[str, Any] = {}
        for curve, look in zip(curves, looks(curves), strict=True):
            ax = axes[curve.panel]
            if curve.look == "limit":
                ax.plot(curve.x, curve.y, "k+", markersize=8, zorder=3)
                ax.set_title(formula(curve.label.removeprefix("equilibrium of ")))
            else:
                thin: Any = look | {"linewidth": 0.7}
                (line,) = ax.plot(curve.x, curve.y, **thin)
                # Where it begins.
                ax.plot(curve.x[:1], curve.y[:1], "o", color=look["color"], markersize=3)
                handles.setdefault(curve.label, line)
        for ax in axes:
            around = np.vstack([_CORNERS, _CORNERS[:1]])
            ax.plot(around[:, 0], around[:, 1], color=GUIDE, linewidth=0.6, gid="guide", zorder=0)
            for i, (x, y) in enumerate(_CORNERS, 1):
                ax.annotate(str(i), (x, y), (0, 4 if y else -9), textcoords="offset points", ha="center", fontsize=7)
            ax.set_aspect("equal")
            ax.set_axis_off()
        above(canvas, list(handles.values()), list(handles))

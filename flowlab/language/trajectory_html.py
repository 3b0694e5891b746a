"""A trajectory as notebooks show it: what ran and how it ended, monitors, and the variables."""

from flowlab.core import html
from flowlab.core.display import brief, dataset_rows, heading
from flowlab.core.html import Markup
from flowlab.language.interpolation import Rowed

_LAST = ("log_t", "log_loss", "objective", "min_margin")
"""Numbers of the last row that stand at the top."""


def trajectory_parts(path: Rowed) -> list[str]:
    """A table of facts, and parts that unfold for monitors and variables."""
    end = path.dataset.isel(step=-1)
    facts = [("problem", repr(path.problem)), ("outcome", str(path.outcome)), ("rows", str(path.dataset.sizes["step"]))]
    facts += [(name, brief(float(end[name]))) for name in _LAST if name in end]
    return [
        heading(f"Trajectory, {path.kind}"),
        html.table(("", "value"), facts, "summary"),
        *_monitors(path),
        html.unfolding(f"{len(path.dataset.variables)} variables", dataset_rows(path.dataset)),
    ]


def _monitors(path: Rowed) -> list[Markup]:
    seen = [
        (name, m["what"], brief(m["worst"]), brief(m["bound"]), "within" if m["holds"] else "off")
        for name, m in path.monitors.items()
    ]
    told = html.table(("monitor", "what", "worst", "bound", ""), seen, "monitors")
    off = sum(row[-1] == "off" for row in seen)
    return [html.unfolding(f"{len(seen)} monitors, {off} off", told)] if seen else []

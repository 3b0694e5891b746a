"""What is seen in a figure, in words, read off its curves."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from flowlab.figures.curve import UNTOLD, Curve, Panel

_MOST = 4
"""Lines of one pair of axes that a caption follows one by one."""
_STILL, _NOTHING = 0.02, 1e-6
"""Of its own size, and of that of all its axes show: what changes by less stays as it is."""


def seen(frames: Sequence[Panel], curves: Sequence[Curve]) -> Iterator[str]:
    """What curves do, axes by axes."""
    for k, frame in enumerate(frames):
        own = [c for c in curves if c.panel == k and len(c.y)]
        lines = [c for c in own if c.look == "line" and not c.marker and len(c.y) > 1]
        where = f"{frame.y_label}: " if frame.y_label and len(frames) > 1 else ""
        if 0 < len(lines) <= _MOST:
            least = 0.0 if frame.log_y else _NOTHING * max(float(np.abs(c.y).max(initial=0.0)) for c in own)
            yield where + "; ".join(f"{_name(c)} {_goes(c.y, least)}" for c in lines)
        elif len(lines) and any(np.isfinite(c.y).any() for c in lines):
            values = np.concatenate([c.y[np.isfinite(c.y)] for c in lines])
            low, high = (float(f(values)) for f in (np.min, np.max))
            yield f"{where}{len(lines)} curves lie between {number(low)} and {number(high)}"
        limits = {_name(c): float(c.y[-1]) for c in own if c.look == "limit" and len(c.y) > 1}
        if limits:
            yield "Dotted: " + ", ".join(f"{name} at {number(value)}" for name, value in limits.items())
        marks = Counter(dict.fromkeys(dict.fromkeys(_name(c) for c in own if c.marker), 0))
        for c in own:
            if c.marker:
                marks[_name(c)] += len(c.y)
        if marks:
            yield "Marks: " + ", ".join(f"{count} {name}" for name, count in marks.items())
    if any(c.dashed for c in curves):
        yield "Flows are solid, descents dashed"


def _name(curve: Curve) -> str:
    return curve.label if curve.told == UNTOLD else curve.told or curve.label


def _goes(values: np.ndarray, least: float) -> str:
    """How a curve goes from its first to its last number."""
    y = values[np.isfinite(values)]
    if not len(y):
        return "has no finite number"
    first, last, size = float(y[0]), float(y[-1]), float(np.abs(y).max())
    if float(np.ptp(y)) <= max(_STILL * size, least):
        return f"stays at {number(0.0 if abs(last) <= least else last)}"
    way = "rises" if last > first else "falls"
    told = f"{way} from {number(first)} to {number(last)}"
    low, high = float(y.min()), float(y.max())
    turn = high if high - max(first, last) > _STILL * size else low if min(first, last) - low > _STILL * size else None
    return told if turn is None else f"goes from {number(first)} over {number(turn)} to {number(last)}"


def number(value: float) -> str:
    """A number of three digits, as a formula where it has a power of ten."""
    head, e, power = f"{value:.3g}".partition("e")
    return rf"${head}\times 10^{{{int(power)}}}$" if e else head.replace("-", "\u2212")

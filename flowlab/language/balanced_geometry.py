"""The metric in which the covariance P P^T of a deep linear product moves while its factors follow their gradient."""

from functools import cache
from typing import Any, ClassVar

import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.core.typing import Array, Namespace
from flowlab.language.geometries import Geometry, InPlace, Tape, geometries
from flowlab.language.operations.layers import through_layers

DEEPEST = 1_000
"""Layers of a geometry: ten times the deepest net of the papers."""


@geometries.register("balanced")
class Balanced(InPlace):
    """Covariances Σ = P P^T of a product P of N balanced layers: Σ' = Σ_j Σ^{(N-j)/N} (F + F^T) Σ^{1+(j-1)/N} and the
    transpose (Arora, Cohen and Hazan 2018; Brechet et al. 2023).

    It is written `balanced:3` for three layers, and `balanced:2:0.5` where W_2^T W_2 - W_1 W_1^T = 0.5 I; one layer has
    the metric of Bures and Wasserstein.
    """

    rank, square = 2, True
    told = "a symmetric positive semidefinite matrix"
    remedy = "start from P @ P.T"
    depth: ClassVar[int] = 1
    imbalance: ClassVar[float] = 0.0
    metric = ("({F} + {F}^T) {p} + {p} ({F} + {F}^T)", r"({F} + {F}^\top) {p} + {p} ({F} + {F}^\top)")
    why = "the metric of a covariance $P P^T$ whose factor $P$ follows its gradient"

    def inverse_metric(self, xp: Namespace, theta: Array, force: Array) -> Array:
        return through_layers(xp, theta, force + force.T, self.depth, self.imbalance)

    def paced(self, tape: Tape, z: Any, theta: Any, force: Any) -> Any:
        both = tape("add", force, tape("transpose", force))
        return tape("through_layers", theta, both, params=(self.depth, self.imbalance))

    def holds(self, theta: np.ndarray) -> bool:
        size = float(np.abs(theta).max(initial=0.0))
        room = len(theta) * float(np.finfo(float).eps) * size
        return bool(np.abs(theta - theta.T).max() <= room) and bool(np.linalg.eigvalsh(theta)[0] >= -room)

    def drawn(self, xp: Namespace, normal: Array) -> Array:
        return normal @ normal.T + xp.eye(len(normal))


def space_of(word: str) -> Geometry:
    """The geometry of a word, which may have numbers behind colons: `simplex`, `balanced:3`.

    Raises:
        UnknownName: for an unknown word; LanguageError: for numbers that it does not take.
    """
    head, *numbers = word.split(":")
    kind = geometries[head]
    if not numbers:
        return kind()
    try:
        depth, imbalance = int(numbers[0]), float(numbers[1]) if len(numbers) > 1 else 0.0
        fits = 1 <= depth <= DEEPEST and np.isfinite(imbalance) and len(numbers) <= 2
    except ValueError:
        depth, imbalance, fits = 0, 0.0, False
    if not (issubclass(kind, Balanced) and fits and (depth == 2 or not imbalance)):
        raise LanguageError(
            f"the geometry `{word[:40]}` must have numbers that it takes; write for example `balanced:3`, or"
            " `balanced:2:0.5` for two layers that are out of balance by 0.5."
        )
    return _balanced(depth, imbalance)()


@cache
def _balanced(depth: int, imbalance: float) -> type[Balanced]:
    """One class for each depth, so that two geometries of one class are the same."""
    names = {"name": f"balanced:{depth}" + (f":{imbalance!r}" if imbalance else ""), "depth": depth}
    if imbalance:
        half, square = f"{abs(imbalance) / 2:g}", f"{imbalance**2 / 4:g}"
        one, other = "+-" if imbalance > 0 else "-+"
        metric = (
            f"(({{p}} + {square} I)^(1/2) {one} {half} I) B {{p}} + B (({{p}} + {square} I)^(1/2) {other} {half} I)"
            " {p} and the transpose, B = {F} + {F}^T",
            rf"\bigl(({{p}} + {square} I)^{{{{1/2}}}} {one} {half} I\bigr) B {{p}} + B \bigl(({{p}} + {square} I)"
            rf"^{{{{1/2}}}} {other} {half} I\bigr) {{p}} + \text{{{{transpose}}}}, \quad B = {{F}} + {{F}}^\top",
        )
    elif depth > 1:
        metric = (
            f"sum_(j=1..{depth}) {{p}}^(({depth}-j)/{depth}) ({{F}} + {{F}}^T) {{p}}^(1+(j-1)/{depth}) and the"
            " transpose",
            rf"\sum_{{{{j=1}}}}^{{{{{depth}}}}} {{p}}^{{{{({depth}-j)/{depth}}}}} ({{F}} + {{F}}^\top)"
            rf" {{p}}^{{{{1+(j-1)/{depth}}}}} + \text{{{{transpose}}}}",
        )
    else:
        metric = Balanced.metric
    layers = f"a product of {depth} layers that are balanced" + (f" but for {imbalance:g} I" if imbalance else "")
    why = f"the metric of a covariance $P P^T$ whose factor $P$ is {layers} and follow their gradient"
    return type(f"Balanced{depth}", (Balanced,), {**names, "imbalance": imbalance, "metric": metric, "why": why})

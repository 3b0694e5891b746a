"""The diagram of a network as a result: its boxes (see `flowlab.language.boxes`), shapes, degrees and laws."""

import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded
from flowlab.core.errors import TooLarge
from flowlab.language.boxes import Box, boxes_of, placed
from flowlab.language.data import Data
from flowlab.language.drawable import Derived, Drawable
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.result import Result
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

KIND = "architecture"
_LONGEST_LAW = 90
"""Characters of a law that is listed below a diagram."""
_MOST = 200
"""Boxes that a page can show."""


@guarded
def architecture(of: Drawable, *, state: State | None = None) -> Result:
    """The diagram of a network as a result that `fl.draw("architecture", ...)` draws.

    Args:
        of: a network, a problem, its equations (then with the conservation laws), or a result of a problem.
        state: weights whose shapes are shown in place of symbols.

    Returns:
        Of kind `"architecture"`: over `box` the `text`, `after`, `blocks`, `shape`, `degree`, `column` and `lane`; over
        `edge` the boxes it joins and its `edge_lane`; over `law` its LaTeX and text; over `tie` a law and a box.

    Raises:
        LanguageError: for anything else; TooLarge: for networks of more than 200 operations.

    Examples:
        >>> found = fl.architecture(fl.derive(fl.Problem("W2 @ relu(W1 @ x)")))
        >>> found.kind, dict(found.dataset.sizes)
        ('architecture', {'box': 3, 'edge': 2, 'law': 2, 'tie': 4})
        >>> drawn = fl.draw("architecture", found)
    """
    network = of if isinstance(of, Network) else of.network if isinstance(of, Problem) else of.problem.network
    if isinstance(of, Network):
        # A network alone has no loss; where samples are added up it is an objective itself.
        problem = Problem(network) if network.has_samples else Problem(network, "value")
    else:
        problem = of if isinstance(of, Problem) else of.problem
    # Laws that are known entry by entry alone are longer than a page is wide.
    laws = tuple(law for law in of.conserved if len(law.text) <= _LONGEST_LAW) if isinstance(of, Derived) else ()
    boxes = boxes_of(network)
    if len(boxes) > _MOST:
        raise TooLarge(f"the network has {len(boxes)} operations, but a diagram shows {_MOST}; draw a part of it.")
    edges = placed(boxes)
    sizes = _sizes(network, of.state(0) if state is None and isinstance(of, Trajectory) else state)
    ties = [(i, k) for i, law in enumerate(laws) for name in law.blocks for k in _homes(boxes, name)[:1]]
    strings = {
        "text": [box.text for box in boxes],
        "after": ["\n".join(box.after) for box in boxes],
        "blocks": [" ".join(box.blocks) for box in boxes],
        "shape": ["\n".join(_shape(network, sizes, box, name) for name in box.blocks or ("",)) for box in boxes],
        "degree": ["\n".join(str(network.symmetry.degree(name) or "") for name in box.blocks) for box in boxes],
    }
    variables = {
        **{name: ("box", np.array(values, dtype=str)) for name, values in strings.items()},
        **{name: ("box", np.array([getattr(box, name) for box in boxes])) for name in ("column", "lane")},
        **{
            name: ("edge", np.array([edge[i] for edge in edges], dtype=np.int64))
            for i, name in enumerate(("edge_from", "edge_to", "edge_lane"))
        },
        "law_latex": ("law", np.array([law.latex + law.where[1] for law in laws], dtype=str)),
        "law_text": ("law", np.array([law.text + law.where[0] for law in laws], dtype=str)),
        **{
            name: ("tie", np.array([t[i] for t in ties], dtype=np.int64))
            for i, name in enumerate(("tie_law", "tie_box"))
        },
    }
    data = getattr(of, "data", None)
    return Result.of(KIND, xr.Dataset(variables), problem, data if isinstance(data, Data) else None)


def _homes(boxes: list[Box], name: str) -> list[int]:
    """The boxes that apply a block."""
    return [k for k, box in enumerate(boxes) if name in box.blocks]


def _sizes(network: Network, state: State | None) -> dict[str, str]:
    """Symbols of dimensions to what is shown in their place."""
    found: dict[str, str] = {}
    given = {} if state is None else state.V
    for name, shape in network.shapes.items():
        values = np.shape(given[name]) if name in given else ()
        found |= {str(dim): str(size) for dim, size in zip(shape, values, strict=False)}
    return found


def _shape(network: Network, sizes: dict[str, str], box: Box, name: str) -> str:
    """The shape of a block, or of the input where there is none; empty for other boxes."""
    shape = network.shapes[name] if name else network.type_of(box.node).shape if not box.inputs else ()
    return " x ".join(sizes.get(str(dim), str(dim)) for dim in shape)

"""The table of the pages that says which analysis takes learning rates, weight decay and several inputs, row by row."""

from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import LanguageError

PAGE = (Path(__file__).parents[1] / "docs" / "guide" / "language.md").read_text(encoding="utf-8")
LINES = PAGE.partition("| analysis |")[2].partition("\n\n")[0].splitlines()[2:]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES]
TABLE = {name.strip("` "): cells for names, *cells in ROWS for name in names.split(",")}
X = np.array([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]])
Y = np.array([1.0, -1.0, 1.0, -1.0])
SIDES = ("rates", "decay", "inputs")
CALLS = {
    "linearise": lambda p, s, d, _: fl.linearise(p, s, d),
    "sharpness": lambda p, s, d, path: fl.sharpness(path(), rows=2),
    "models": lambda p, s, d, _: fl.models(p, s, d, step=1e-2, time=0.05, rows=3),
    "one_step": lambda p, s, d, _: fl.one_step(p, s, d, 1e-2),
    "critical_points": lambda p, s, d, _: fl.critical_points(p, d, norm=1.0, widths={"W": 2}, starts=1, seed=0),
    "max_margin": lambda p, s, d, _: fl.max_margin(p.network, d, widths={"W": 2}),
    "limit": lambda p, s, d, path: fl.limit(path()),
    "tangent_kernel": lambda p, s, d, _: fl.tangent_kernel(p, s, d),
    "descend": lambda p, s, d, _: fl.descend(p, s, d, step=1e-2, count=2),
}


def case(side):
    """A problem with one of the three, a start and samples."""
    settings = {"rates": {"rates": {"W": 0.5}}, "decay": {"decay": 0.1}}.get(side, {})
    if side == "inputs":
        network = fl.Network("a @ (W @ u + V @ v)", inputs={"u": (1,), "v": (1,)})
        data = fl.Data(u=X[:, :1], v=X[:, 1:], y=Y)
    else:
        network, data = fl.Network("a @ (W @ x)"), fl.Data(X, Y)
    problem = fl.Problem(network, "exponential", **settings)
    return problem, fl.initial_state(network, data, default_width=2, seed=0), data


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", CALLS)
def test_the_table_says_what_is_taken(name, side):
    problem, start, data = case(side)
    told = TABLE[name][SIDES.index(side)]

    def path():
        return fl.integrate(fl.lower(fl.derive(problem, verify=False)), start, data, until=fl.log_time(1.0))

    try:
        CALLS[name](problem, start, data, path)
    except LanguageError:
        assert told.startswith("no"), f"{name} refuses {side}"
    except fl.FlowlabError:
        assert not told.startswith("no")
    else:
        assert not told.startswith("no"), f"{name} takes {side}"


def test_every_analysis_of_the_table_exists():
    assert set(CALLS) <= set(TABLE)
    assert all(hasattr(fl, name) or name == "flow.laws" for name in TABLE)

"""Critical points are counted: the sum of (-1)^index over all of them and their images is the Euler characteristic, or
they say by how much it is not.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.discrete.critical import euler_characteristic
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_points import CriticalPoints, critical_points
from flowlab.discrete.critical.lagrange_newton import polish
from flowlab.discrete.critical.point_catalogue import Catalogue

RNG = np.random.default_rng(2)
DATA = fl.Data(RNG.normal(size=(8, 3)), np.where(np.arange(8) % 2, 1.0, -1.0))
FACTORS = fl.Problem("(W1 @ x) * (W2 @ x)", "logistic")


def con_of(text, norm, widths=None):
    return Constrained(fl.Problem(text, "logistic"), DATA, norm=norm, widths=widths)


@pytest.fixture(scope="module")
def products():
    return critical_points(FACTORS, DATA, norm=4.0, starts=16, seed=0)


def test_factors_on_two_spheres_are_counted_to_four(products):
    assert (products.euler_sum, products.euler_characteristic, products.complete) == (4, 4, True)
    assert "sum of (-1)^index over all images 4, Euler characteristic 4: consistent" in str(products)
    # Exchanged factors and paired signs are images: no point is listed twice.
    assert (np.diff([p.log_loss for p in products]) > 1e-9).all()
    assert len(products) >= 10
    V = {k: np.asarray(v) for k, v in products[0].state.V.items()}
    assert products.distance({"W1": -V["W2"], "W2": -V["W1"]}, products[0]) < 1e-12
    # Control: one sign alone is another function.
    assert products.distance({"W1": -V["W1"], "W2": V["W2"]}, products[0]) > 0.1


def test_a_point_that_is_missing_shows(products):
    con = products.constrained
    found = Catalogue(con, con.symmetries)
    for p in list(products)[1:]:
        assert found.add(polish(con, con.row(p.state)))
    assert not found.add(polish(con, -con.row(products[1].state)))
    found.describe()
    less = CriticalPoints(found, 0, 0, True)
    copies = con.symmetries.images.count(con.row(products[0].state), lambda rows: con.spheres.squares(rows, rows))
    assert (less.euler_sum, less.complete) == (4 - copies, False)
    assert f"points are missing, off by {-copies}" in str(less)
    found.add(polish(con, con.row(products[0].state)))
    found.describe()
    assert CriticalPoints(found, 0, 0, True).complete is True
    # Searches that ended early, and a point whose set is not known, decide nothing.
    assert CriticalPoints(found, 0, 0, False).complete is None
    found.entries[0].characteristic = None
    assert CriticalPoints(found, 0, 0, True).complete is None
    assert "cannot be compared" in str(CriticalPoints(found, 0, 0, True))


@pytest.mark.parametrize(
    ("text", "widths", "count"),
    [
        ("W1 @ x", {}, 1),
        ("(W1 @ x) * (W2 @ x)", {}, 4),
        ("W2 @ (W1 @ x)**2", {"W1": 2}, 8),
        ("W2 @ tanh(W1 @ x)", {"W1": 3}, 48),
        ("W2 @ W1 @ x", {"W1": 1}, 2),
        ("(w * w - u * u) @ x", {}, 64),
        ("W2 @ softplus(W1 @ x)", {"W1": 3}, 6),
    ],
)
def test_images_of_a_point_without_symmetry_are_as_many_as_the_group(text, widths, count):
    con = con_of(text, dict.fromkeys(fl.Network(text).weights, 1.0), widths)
    assert euler_characteristic.of_images(con, con.symmetries, con.random(np.random.default_rng(0))) == count


def test_a_point_that_symmetries_fix_has_fewer_images():
    con = con_of("(W1 @ x) * (W2 @ x)", 1.0)
    one = np.array([[0.6, 0.8, 0.0]])
    assert euler_characteristic.of_images(con, con.symmetries, con.row({"W1": one, "W2": one})) == 2
    # At unequal norms the factors are not exchanged.
    other = con_of("(W1 @ x) * (W2 @ x)", {"W1": 2.0, "W2": 1.0})
    assert euler_characteristic.of_images(other, other.symmetries, other.row({"W1": one, "W2": one})) == 2
    assert euler_characteristic.of_images(other, other.symmetries, other.random(np.random.default_rng(0))) == 2


@pytest.mark.parametrize(
    ("h", "rank", "characteristic"), [(1, 1, 2), (2, 1, 0), (3, 1, 2), (3, 2, 0), (4, 1, 0), (5, 1, 2)]
)
def test_orbits_of_rotations_have_the_characteristic_of_frames(h, rank, characteristic):
    """One frame of h units is a sphere; two or more are a product in which one sphere has an odd dimension."""
    con, rng = con_of("W2 @ W1 @ x", {"W1": 1.0, "W2": 1.0}, {"W1": h}), np.random.default_rng(h)
    frame = np.linalg.qr(rng.normal(size=(h, h)))[0][:, :rank]
    theta = con.row({"W1": frame @ rng.normal(size=(rank, 3)), "W2": rng.normal(size=(1, rank)) @ frame.T})
    assert euler_characteristic.of_images(con, con.symmetries, theta) == characteristic


def test_products_of_spheres():
    assert euler_characteristic.of_spheres(con_of("W1 @ x", 1.0).spheres) == 2
    assert euler_characteristic.of_spheres(con_of("(W1 @ x) * (W2 @ x)", 1.0).spheres) == 4
    assert euler_characteristic.of_spheres(con_of("W2 @ W1 @ x", 1.0, {"W1": 2}).spheres) == 0


def twelve():
    spec = importlib.util.spec_from_file_location("complete", Path(__file__).parents[3] / "benchmarks" / "complete.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_twelve_nets_against_an_independent_count():
    """Hybrid and Levenberg-Marquardt roots from 300 starts each: `python benchmarks/critical.py complete`."""
    module = twelve()
    found = [module.judged(net) for net in module.NETS]
    assert sum(f["missed"] for f in found) <= 0.05 * sum(f["of"] for f in found)
    assert sum(f["twice"] for f in found) == 0
    assert sum(f["sum"] == f["characteristic"] for f in found) >= 10
    assert all(f["complete"] is not True for f in found if f["sum"] != f["characteristic"])
    assert all(f["least"] for f in found)
    # Control: without the points of one net all of its roots are missed.
    roots = module.Roots(module.NETS[0], module.samples(module.NETS[0]), {"W1": (1, 3)}).found(np.random.default_rng(0))
    assert not any(module.alike(r, (r[0] + 1e-3, r[1])) for r in roots)

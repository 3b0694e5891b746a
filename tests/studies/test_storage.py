"""Results on disk: portraits, constants and units, computed, kept and read again."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import DataError, LanguageError, OutputError
from flowlab.language.trajectory import Outcome

RIGHT = np.array([[1.0, 0.5], [-0.2, -1.5], [2.0, 2.5]])
DATA = fl.Data(RIGHT, np.array([1.0, -1.0, 1.0]))


def linear(offset, s):
    """Rows w = s u + offset of a linear net whose support are the first two samples; (path, C*)."""
    z = RIGHT[:2] * np.array([1.0, -1.0])[:, None]
    hard = np.linalg.solve(z, np.ones(2))
    shares = np.linalg.solve(z.T, hard)
    assert (shares > 0).all()
    lead = np.linalg.solve(z, -np.log(shares))
    w = s[:, None] * hard + lead + offset
    rho = np.linalg.norm(w, axis=1)
    states = fl.State(rho={"W1": rho}, V={"W1": (w / rho[:, None])[:, None, :]})
    path = fl.Trajectory.from_states(fl.Problem("W1 @ x"), DATA, s, states, Outcome("done", "made."), {}, kind="flow")
    return path, float(np.linalg.norm(lead - (lead @ hard) * hard / (hard @ hard))), float(1.0 / (hard @ hard))


def test_constants_of_a_linear_net():
    path, constant, square = linear(np.zeros(2), np.geomspace(20.0, 1e5, 60))
    found = fl.convergence(path).dataset
    assert float(found["constant"]) == pytest.approx(constant, rel=1e-8)
    assert bool(found["spans"])
    assert float(found["scaled"][-1]) == pytest.approx(constant, rel=1e-4)
    assert float(found["rate_limit"]) == pytest.approx(square, rel=1e-10)
    assert float(found["rate"][-1]) == pytest.approx(square, rel=1e-8)
    assert float(found["loss_constant"][-1]) == pytest.approx(1.0 / square, rel=1e-3)
    # Another offset is not a flow: its constant is not the predicted one.
    off, _, _ = linear(np.array([0.3, -0.2]), np.geomspace(20.0, 1e5, 60))
    other = fl.convergence(off).dataset
    assert abs(float(other["scaled"][-1]) / constant - 1.0) > 0.05


@pytest.fixture(scope="module")
def torus():
    return fl.portrait(
        fl.Problem("(W1 @ x) * (W2 @ x)"), fl.load("gaussian?n=6&d=2&margin=0.2", seed=2), norm=5.0, grid=16, starts=2
    )


@pytest.mark.long
def test_portraits_are_complete_on_torus_and_sphere(torus, tmp_path):
    """Minima and maxima less saddles are the Euler characteristic of the surface, which no missing point would leave so
    (M. Morse 1925).
    """
    sphere = fl.portrait(
        fl.Problem("W1 @ x"), fl.load("gaussian?n=6&d=3&margin=0.2", seed=3), norm=4.0, grid=16, starts=2
    )
    for found, characteristic in ((torus, 0), (sphere, 2)):
        ds = found.dataset
        assert not ds["point_nullity"].values.any()
        assert int(((-1) ** ds["point_index"].values).sum()) == int(ds["euler"]) == characteristic
        assert int(ds["complete"]) == 1
        attractors = np.unique(ds["point_basin"].values[ds["point_basin"].values >= 0])
        assert set(np.unique(ds["basin"].values[ds["basin"].values >= 0])) <= set(attractors)
        assert (ds["basin"].values == -1).mean() < 0.05
        # The cell at an attracting point belongs to it.
        for chart, u, v, owner in zip(
            *(ds[f"point_{k}"].values.tolist() for k in ("chart", "u", "v", "basin")), strict=True
        ):
            i, j = (int(np.abs(ds[k].values - value).argmin()) for k, value in (("u", u), ("v", v)))
            assert owner < 0 or int(ds["basin"].values[chart, i, j]) == owner
        again = fl.results(found.save(tmp_path / "portrait.nc"))[0]
        assert again.kind == "portrait"
        assert again.dataset.equals(ds)
        assert again.provenance == found.provenance


def test_a_portrait_has_the_field_of_the_flow(torus):
    ds, data = torus.dataset, fl.load("gaussian?n=6&d=2&margin=0.2", seed=2)
    i, j, rho = 5, 12, np.sqrt(5.0)
    a, b = float(ds["u"][i]), float(ds["v"][j])
    state = fl.State(
        rho={"W1": rho, "W2": rho},
        V={"W1": np.array([[np.cos(a), np.sin(a)]]), "W2": np.array([[np.cos(b), np.sin(b)]])},
    )
    field = fl.lower(fl.derive(fl.Problem("(W1 @ x) * (W2 @ x)")))
    turned = [
        float(np.asarray(field(0.0, state, data).V[k])[0] @ np.array([-np.sin(t), np.cos(t)]))
        for k, t in (("W1", a), ("W2", b))
    ]
    drawn = np.array([float(ds["field_u"][0, i, j]), float(ds["field_v"][0, i, j])])
    assert drawn * np.exp(float(ds["log_loss"][0, i, j])) == pytest.approx(turned, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "d", "widths"), [("W1 @ x", 4, None), ("W2 @ W1 @ x", 3, {"W1": 2}), ("W1 @ x", 2, None)]
)
def test_other_numbers_of_parameters_have_no_portrait(text, d, widths):
    with pytest.raises(LanguageError, match="two parameters"):
        fl.portrait(fl.Problem(text), fl.load(f"gaussian?n=6&d={d}&margin=0.2", seed=1), widths=widths)
    with pytest.raises(LanguageError, match="grid"):
        fl.portrait(fl.Problem("W1 @ x"), DATA, grid=2)


def units(rows=3):
    W = np.array([[[1.0, 0.0], [0.0, 2.0]]]) * np.linspace(1.0, 2.0, rows)[:, None, None]
    a = np.array([[[1.0, -1.0]]]) * np.linspace(1.0, 2.0, rows)[:, None, None]
    norms = {k: np.sqrt((v**2).sum(axis=(1, 2))) for k, v in (("W1", W), ("W2", a))}
    states = fl.State(rho=norms, V={"W1": W / norms["W1"][:, None, None], "W2": a / norms["W2"][:, None, None]})
    return fl.Trajectory.from_states(
        fl.Problem("W2 @ relu(W1 @ x)"), DATA, np.arange(rows) * 1.0, states, Outcome("done", "made."), {}, kind="flow"
    )


def test_units_over_the_plane():
    ds = fl.neurons(units()).dataset
    assert ds["neuron"].values[0] == pytest.approx(np.array([[1.0, 0.0], [0.0, 2.0]]) / 3.0)
    assert ds["sign"].values.tolist() == [1.0, -1.0]
    assert "best_margin" not in ds
    # By hand: f = relu(x_1) - 2 relu(x_2), and squared norms 5 and 2.
    outputs = np.maximum(RIGHT, 0.0) @ np.array([1.0, -2.0])
    assert float(ds["margin"][0]) == pytest.approx((outputs * np.array([1.0, -1.0, 1.0])).min() / 7.0)
    with pytest.raises(DataError, match="same ones"):
        fl.neurons(units(), fl.Data(RIGHT + 1.0, DATA.y))
    with pytest.raises(LanguageError, match="two layers"):
        fl.neurons(linear(np.zeros(2), np.geomspace(20.0, 100.0, 9))[0])


def test_results_of_folders_and_files(tmp_path):
    path = units()
    for name in ("b.nc", "witness.nc", "trajectory.nc"):
        fl.save(path, tmp_path / name)
    fl.save(fl.neurons(path), tmp_path / "a.nc")
    assert [r.kind for r in fl.results(tmp_path)] == ["flow", "flow", "neurons", "flow"]
    assert [r.kind for r in fl.results([tmp_path / "a.nc", tmp_path / "b.nc"], of="neurons")] == ["neurons"]
    with pytest.raises(OutputError, match="holds no portrait but flow, neurons"):
        fl.results(tmp_path, of="portrait")
    (tmp_path / "bad.nc").write_text("no NetCDF")
    with pytest.raises(OutputError, match="must be a stored trajectory"):
        fl.results(tmp_path / "bad.nc")
    with pytest.raises(LanguageError, match="must be a result of flowlab"):
        fl.save(DATA, tmp_path / "data.nc")
    with pytest.raises(OutputError, match=r"ends in \.nc"):
        fl.save(fl.neurons(path), tmp_path / "neurons.json")

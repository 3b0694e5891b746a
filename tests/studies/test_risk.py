"""Risk of limits over a constant of the parametrisation."""

import numpy as np
import pytest

import flowlab as fl

D, N = 40, 10


@pytest.fixture(scope="module")
def beta():
    net = fl.Network("(w*w - u*u + lam*v) @ x", constants=["lam"])
    flow = fl.derive(fl.Problem(net, "square", coordinates="weights"))
    start = {"w": np.full(D, 1e-4), "u": np.full(D, 1e-4), "v": np.zeros(D)}
    return flow.induced("w*w - u*u + lam*v", start, constants={"lam": np.full(D, 0.1)})


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    x, truth = rng.normal(size=(N, D)), np.zeros(D)
    truth[:2] = 1.0
    return fl.Data(x, x @ truth + 0.1 * rng.normal(size=N), kind="targets"), truth


def test_ends_are_the_norms(beta, samples, tmp_path):
    data, truth = samples
    found = fl.risk(beta, data, truth, vary="lam", values=[1e-5, 0.05, 5.0])
    ds = found.dataset
    assert float(ds["risk"][-1]) == pytest.approx(float(ds["risk_min_l2"]), rel=1e-4)
    # At alpha = 1e-4 the hyperbolic entropy is not quite the l1 norm.
    assert float(ds["risk"][0]) == pytest.approx(float(ds["risk_min_l1"]), rel=0.3)
    x, y = np.asarray(data.x), np.asarray(data.y)
    assert float(ds["risk_min_l2"]) == pytest.approx(((np.linalg.pinv(x) @ y - truth) ** 2).sum())
    assert fl.draw("risk", found).save(tmp_path / "risk.pdf").exists()
    held = fl.risk(beta, data, data, vary="lam", values=[0.05, 5.0], against=["min_l2"])
    assert float(held.dataset["risk"].max()) < 1e-20
    assert "risk_min_l1" not in held.dataset


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        ({"vary": "mu"}, fl.UnknownName, "it has `lam`"),
        ({"values": [0.1]}, fl.LanguageError, "two or more"),
        ({"values": [0.2, 0.1]}, fl.LanguageError, "rise"),
        ({"values": [0.0, 0.1]}, fl.LanguageError, "above zero"),
        ({"against": ["min_l3"]}, fl.UnknownName, "did you mean `min_l"),
        ({"truth": np.zeros(3)}, fl.ShapeMismatch, "shape \\(40,\\) of beta"),
    ],
)
def test_bad_input_is_one_sentence(change, kind, told, beta, samples):
    data, truth = samples
    given = {"truth": truth, "vary": "lam", "values": [0.1, 1.0]} | change
    with pytest.raises(kind, match=told):
        fl.risk(beta, data, **given)
